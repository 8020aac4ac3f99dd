"""What can be wrong, each with its name, its cause and its cure. Imported only where something is."""
