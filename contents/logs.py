"""Show the logs of the tasks that the node or the step's form names."""

import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    sys.path.append(os.path.join(here, "lib"))
    if sys.version_info < (3, 10):
        from ecs_exec.interpreter import go_on_in_newer

        go_on_in_newer(os.environ)
    from ecs_exec.main import logs

    # All output is written unbuffered, so nothing is lost here. This skips the interpreter's slow shutdown.
    os._exit(logs())
