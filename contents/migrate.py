"""Convert exported jobs and project properties of Rundeck Enterprise's ECS plugins; `--help` explains how."""

import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    sys.path.append(os.path.join(here, "lib"))
    if sys.version_info < (3, 10):
        from ecs_exec.interpreter import go_on_in_newer

        go_on_in_newer(os.environ)
    from migration.program import main

    sys.exit(main(sys.argv[1:]))
