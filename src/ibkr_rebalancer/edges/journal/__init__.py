"""The journal: what was decided, sent and heard, kept in SQLite before anything follows from it. It alone knows SQL."""
