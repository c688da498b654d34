"""Ably's realtime and REST protocol, as far as subscribers and publishers need it; docs/sandbox.md shows its use."""
