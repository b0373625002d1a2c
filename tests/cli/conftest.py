"""What the tests of the command line share."""

import pytest
from scenes import TILED, plain


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """A plain scene, to be read only."""
    return plain(tmp_path_factory.mktemp("scene") / "plain.tif")


@pytest.fixture(scope="session")
def product(geoalps, scene, tmp_path_factory):
    """A product of the plain scene with five classes and its store, to be read or copied only."""
    out = tmp_path_factory.mktemp("product") / "out"
    done = geoalps("-q", "tile-label", scene.path, "-o", out, "-k", 5, *TILED)
    assert done.code == 0, done.err
    return out
