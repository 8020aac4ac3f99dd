"""Tests of a command from the entry script to the container and back."""
