"""`python -m ibkr_rebalancer` is the command `rebalancer`."""

from ibkr_rebalancer.cli import main

main()
