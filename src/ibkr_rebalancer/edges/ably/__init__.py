"""The edge to Ably: a socket for speed, history for certainty, and no trust in the client between them."""
