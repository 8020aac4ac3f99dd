"""Show why the tasks of a cluster stopped."""

import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [here, os.path.join(here, "lib")]
    if sys.version_info < (3, 10):
        from ecs_exec.interpreter import go_on_in_newer

        go_on_in_newer(os.environ)
    from ecs_exec.main import stopped_tasks

    # All was written without buffers: to leave at once saves the tear-down, and no flush can fail.
    os._exit(stopped_tasks())
