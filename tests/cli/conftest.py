"""Fixtures of the command line's tests."""

from tests.support.commands import here

__all__ = ["here"]
