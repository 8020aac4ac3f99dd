"""Converts jobs and properties of Rundeck Enterprise's ECS plugins. `contents/migrate.py` starts it."""
