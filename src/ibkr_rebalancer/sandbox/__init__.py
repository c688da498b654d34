"""Stand-ins for the outside world on loopback: a simulated gateway, an allocation API and channels.

Knows nothing of the product and no client library: what it says on the wire comes from the written layouts.
"""
