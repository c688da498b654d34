"""Fixtures of the sandbox's own tests."""

from tests.support.sandbox import start_sandbox

__all__ = ["start_sandbox"]
