"""Settings: what the owner wrote into accounts.yaml, .env and the environment, checked and turned into core values."""
