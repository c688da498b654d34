"""Fixtures of the pages' tests."""

from tests.support.commands import here

__all__ = ["here"]
