"""Tests against the real parts: Rundeck's own classes, AWS's own binary."""
