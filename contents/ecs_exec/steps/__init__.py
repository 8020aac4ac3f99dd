"""The job steps: stopping tasks, telling why they stopped, a command by fields, the check of ECS Exec itself."""
