"""The process `rebalancer`, also `python -m ibkr_rebalancer`: Ctrl-C ends it quietly, at whatever moment it comes."""

import sys


def main() -> None:
    """Run the command line of this process and exit."""
    try:
        from ibkr_rebalancer.cli import main as run_and_exit  # takes long enough to be interrupted

        run_and_exit()
    except KeyboardInterrupt:
        sys.exit(130)  # as an interrupted command ends; there is nobody yet, or any more, to say more


if __name__ == "__main__":
    main()
