"""The job steps: stop a task, show why tasks stopped, run a command without a node, check what ECS Exec needs."""
