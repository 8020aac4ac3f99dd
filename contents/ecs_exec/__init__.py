"""Run commands in Amazon ECS containers for Rundeck."""
