"""Interactive Brokers, through ib_async: the only package that knows either."""
