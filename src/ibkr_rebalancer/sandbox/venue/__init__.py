"""The simulated market and its accounts. Pure: frozen values, no I/O, the time is an argument."""
