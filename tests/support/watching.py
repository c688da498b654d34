"""A real `rebalancer watch`, as its owner runs it: a process on a folder with an accounts.yaml, and what it says.

    with watching(here) as watch:
        watch.publish(TRADES)
        (run,) = watch.result()["runs"]
        exit_code, _ = watch.stop()

What is said into a pipe that nobody reads is left out once there is much of it.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGTERM
from typing import Any

from tests.support.commands import START_S, Here

TRADES = '{"execution": "rebalance"}'


class Watching:
    """A `watch` at work, its results and its log."""

    def __init__(self, here: Here, process: "subprocess.Popen[str]") -> None:
        self.here = here
        self.process = process

    def publish(self, payload: object, channel: str = "rebalance-primary", **more: Any) -> None:
        self.here.sandbox.publish(channel, payload, **more)

    def result(self) -> dict[str, Any]:
        """The next result, when it comes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended"
        content = json.loads(line)
        assert isinstance(content, dict)
        return content

    def heard(self, event: str) -> dict[str, Any]:
        """The next line of the log about this."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            content = json.loads(line)
            if content["event"] == event:
                assert isinstance(content, dict)
                return content
        raise AssertionError(f"it ended without {event}")

    def stop(self) -> tuple[int, str]:
        """Tell it to stop; its exit code and what else it said."""
        self.process.send_signal(SIGTERM)
        _, err = self.process.communicate(timeout=START_S)
        return self.process.returncode, err


@contextmanager
def watching(here: Here, *arguments: str, once: str = "events.up", **popen: Any) -> Iterator[Watching]:
    """A watch that is ready, or has said whatever else is waited for."""
    with here.start("watch", "--json", *arguments, **popen) as process:
        watch = Watching(here, process)
        try:
            watch.heard(once)
            yield watch
        finally:
            process.kill()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
