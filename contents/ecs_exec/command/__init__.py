"""One command in one container: session, wrapper, output."""
