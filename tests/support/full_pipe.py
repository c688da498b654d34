"""A pipe that has no room left, as if its reader had stopped reading."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FILLER = b"#"


class FullPipe:
    """Both ends; whoever writes to `there` waits until somebody reads."""

    def __init__(self) -> None:
        self.here, self.there = os.pipe()
        fcntl.fcntl(self.here, fcntl.F_SETPIPE_SZ, 1)  # the smallest there is
        os.set_blocking(self.there, False)
        with suppress(BlockingIOError):
            while os.write(self.there, FILLER * 1024):
                pass
        with suppress(BlockingIOError):
            while os.write(self.there, FILLER):
                pass
        os.set_blocking(self.there, True)

    def read(self) -> bytes:
        """What has come through since, once something has; but for what filled it."""
        while True:
            if come := os.read(self.here, 65_536).lstrip(FILLER):
                return come


@contextmanager
def full_pipe() -> Iterator[FullPipe]:
    """Such a pipe, closed in the end."""
    pipe = FullPipe()
    try:
        yield pipe
    finally:
        for descriptor in (pipe.here, pipe.there):
            with suppress(OSError):  # a test may have closed it
                os.close(descriptor)
