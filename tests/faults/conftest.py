"""Fixtures of the fault catalogue's drivers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import here
from tests.support.sandbox import start_sandbox

__all__ = ["here", "start_sandbox"]

MEMORY = Path("/dev/shm")  # noqa: S108 (a private folder is made in it)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder, in memory where there is such a thing: no power fails here, so nothing must wait for a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as path:
        yield Path(path)
