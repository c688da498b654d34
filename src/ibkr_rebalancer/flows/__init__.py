"""Stories told over ports: they join decisions with the outside world and hold neither."""
