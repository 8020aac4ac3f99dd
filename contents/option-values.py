"""List names for the options of jobs: clusters, services, families or containers, as the first argument says."""

import gc
import os
import sys

if __name__ == "__main__":
    # Imported modules stay in memory. Searching them for garbage again and again would take a part of the start's time.
    gc.set_threshold(100000)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    sys.path.append(os.path.join(here, "lib"))
    if sys.version_info < (3, 10):
        from ecs_exec.interpreter import go_on_in_newer

        go_on_in_newer(os.environ)
    from ecs_exec.main import option_values

    # All output is written unbuffered, so nothing is lost here. This skips the interpreter's slow shutdown.
    os._exit(option_values())
