"""Settings of the whole suite."""

from hypothesis import settings

# Machines that run the suite may be busy; how long an example takes is no property of the code.
settings.register_profile("legged_cts", deadline=None)
settings.load_profile("legged_cts")
