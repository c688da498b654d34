"""A sandbox, for comparing what it shows over the socket with what it shows directly."""

from tests.support.sandbox import start_sandbox

__all__ = ["start_sandbox"]
