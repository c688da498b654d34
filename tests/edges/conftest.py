"""A sandbox to fetch from and to read."""

from tests.support.sandbox import start_sandbox

__all__ = ["start_sandbox"]
