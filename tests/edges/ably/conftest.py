"""A sandbox to listen to."""

from tests.support.sandbox import start_sandbox

__all__ = ["start_sandbox"]
