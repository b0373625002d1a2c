"""Settings for all tests."""

from hypothesis import settings

# no deadline: what an example takes says more about the machine's other work than about the code
settings.register_profile("geoalps", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("geoalps")
