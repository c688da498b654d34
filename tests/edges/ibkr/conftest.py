"""A sandbox to read from, and a reader of it."""

from tests.support.sandbox import start_sandbox

__all__ = ["start_sandbox"]
