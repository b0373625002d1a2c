"""Settings for all tests, and the command that many of them run."""

import pytest
from hypothesis import settings
from processes import Shell

# no deadline: what an example takes says more about the machine's other work than about the code
settings.register_profile("geoalps", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("geoalps")


@pytest.fixture(scope="session")
def geoalps():
    """Runs the command in a process of its own."""
    shell = Shell()
    yield shell
    shell.close()
