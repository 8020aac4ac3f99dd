"""`make bench`: the plugin and the program that a user would run instead, in the same run, as ratios.

The peer is `aws ecs execute-command` of the AWS CLI in its own virtual environment, with AWS's session-manager-plugin,
on a terminal, as people run it. Both use the local emulator without TLS. Its agents have the real timing unless the
measurement sets another.
"""
