"""Files and scripts on their way into a container."""
