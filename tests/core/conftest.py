"""Property tests of the core judge values, not how long a busy machine takes for one of them."""

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
