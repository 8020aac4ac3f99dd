"""The node executor with a pace that a test can wait for; `PACE` in the environment holds the seconds by name."""

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    contents = Path(__file__).parents[2] / "contents"
    sys.path[:0] = [str(contents), str(contents / "lib")]
    from ecs_exec import main
    from ecs_exec.command.idle_timer import Intervals
    from ecs_exec.command.runner import Runner
    from ecs_exec.settings import read_execution
    from ecs_exec.signals import Interrupts
    from ecs_exec.streams import OutputStreams

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        """Run `main.node_executor` at this pace."""
        intervals = Intervals(**json.loads(os.environ["PACE"]))
        return Runner(read_execution(os.environ), os.environ, interrupts, streams, intervals=intervals).run()

    os._exit(main._guarded(execute))
