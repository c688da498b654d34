"""The version of the package, once.

Read by the build and by `rebalancer --version`."""

__version__ = "0.1.0"
