"""The outside worlds, one module or package each; none knows another."""
