"""The node source: from clusters to nodes and their attributes."""
