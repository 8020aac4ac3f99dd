"""What is asked of ECS, and which task and container a node means."""
