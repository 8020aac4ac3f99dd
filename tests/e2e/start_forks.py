"""Be entry scripts, one after the other, in forks of one process that has imported all that they import.

A program of its own, started as an entry script is, with the folder of the entry scripts as argument. Each line of
stdin is a JSON list of a script's name and the environment of its execution; the line on stdout is stdout, stderr
(base64) and exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import selectors
import sys
from pathlib import Path

_LIBRARIES = ("session", "client", "config", "credentials", "httpsession", "parsers", "auth", "retries.standard")
"""Modules of botocore that its session loads late."""


def main() -> None:
    """Run what stdin asks for, to its end."""
    folder = sys.argv[1]
    sys.path[:0] = [folder, str(Path(__file__).parent)]
    sys.path.append(f"{folder}/lib")
    start_many = importlib.import_module("start_many")
    plugin = importlib.import_module("ecs_exec")
    for module in pkgutil.walk_packages(plugin.__path__, "ecs_exec."):
        importlib.import_module(module.name)
    for name in _LIBRARIES:
        importlib.import_module(f"botocore.{name}")
    sys.path.remove(str(Path(__file__).parent))
    gc.freeze()  # a collection in a fork would copy all pages
    for line in sys.stdin:
        script, environ = json.loads(line)
        sys.argv = [f"{folder}/{script}"]
        with selectors.DefaultSelector() as selector:
            execution = start_many.Execution(environ, selector)
            while execution.open:
                for key, _ in selector.select():
                    data = os.read(key.fd, 65536)
                    execution.printed[key.data[1]] += data
                    if not data:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        execution.open -= 1
        sys.stdout.write(json.dumps(execution.result()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
