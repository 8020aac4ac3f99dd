"""Run many executions from one start of an entry script: what a start imports, all of them share.

A program of its own, started as an entry script is, with the path of that script as argument. stdin has a JSON
document: how many at once, and the environment of each execution. stdout gets a JSON list of stdout, stderr (base64)
and exit status of each.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import selectors
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


class Execution:
    """A fork of this process that is one execution, and what it has printed."""

    def __init__(self, environ: Mapping[str, str], selector: selectors.BaseSelector) -> None:
        """Start it."""
        self.printed = {1: bytearray(), 2: bytearray()}
        self.open = 2
        ends = {descriptor: os.pipe() for descriptor in self.printed}
        self.pid = os.fork()
        if not self.pid:
            for descriptor, (_, write) in ends.items():
                os.dup2(write, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            run(environ)
        for descriptor, (read, write) in ends.items():
            os.close(write)
            selector.register(read, selectors.EVENT_READ, (self, descriptor))

    def result(self) -> tuple[str, str, int]:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        out, err = (base64.b64encode(bytes(text)).decode() for text in self.printed.values())
        return out, err, os.waitstatus_to_exitcode(status)


def entry() -> Callable[[], int]:
    """Return the function of `main` that the entry script calls."""
    from ecs_exec import main

    found: Callable[[], int] = getattr(main, Path(sys.argv[0]).stem.replace("-", "_"))
    return found


def run(environ: Mapping[str, str]) -> None:
    """Be the entry script, to the process's end."""
    try:
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(environ)
        os._exit(entry()())
    finally:
        os._exit(99)


def imported(environ: Mapping[str, str]) -> list[str]:
    """Run one execution and return the modules that it has loaded."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            os.environ.clear()
            os.environ.update(environ)
            entry()()
            os.write(write, " ".join(sys.modules).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as names:
        found = names.read().split()
    os.waitpid(pid, 0)
    return found


def main() -> None:
    """Carry out what stdin says."""
    script = sys.argv[1]
    folder = str(Path(script).parent)
    sys.argv = [script]
    sys.path[:0] = [folder, f"{folder}/lib"]
    wanted = json.load(sys.stdin)
    for name in imported(wanted["first"]):
        __import__(name)
    gc.freeze()  # a collection in a fork would copy all pages
    waiting = list(enumerate(wanted["environments"]))[::-1]
    results: dict[int, tuple[str, str, int]] = {}
    selector = selectors.DefaultSelector()
    running: dict[int, Execution] = {}
    while waiting or running:
        while waiting and len(running) < wanted["at_once"]:
            index, environ = waiting.pop()
            running[index] = Execution(environ, selector)
        for key, _ in selector.select():
            execution, descriptor = key.data
            data = os.read(key.fd, 65536)
            execution.printed[descriptor] += data
            if not data:
                selector.unregister(key.fd)
                os.close(key.fd)
                execution.open -= 1
        for index in [index for index, execution in running.items() if not execution.open]:
            results[index] = running.pop(index).result()
    json.dump([results[index] for index in sorted(results)], sys.stdout)


if __name__ == "__main__":
    main()
