"""`make bench`: the plugin against what a user would run instead, in the same run, as ratios.

The peer is `aws ecs execute-command` of the AWS CLI, in a virtual environment of its own, with AWS's
session-manager-plugin, on a terminal, as people run it. Both talk to the local emulator, without TLS, its agents with
the real ones' timing unless told.
"""
