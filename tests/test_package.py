"""The package as a whole: its names, its plug-ins, its fakes."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import geoalps
from geoalps import errors
from geoalps.errors import PluginError
from geoalps.models.regions import RegionSegmenter
from geoalps.plugins import names
from geoalps.protocols import EmbeddingMap
from geoalps.testing import PlainSegmenter, check_encoder, check_segmenter


def test_every_public_name_is_there_and_sorted():
    assert geoalps.__all__ == sorted(geoalps.__all__)
    assert all(getattr(geoalps, name) is not None for name in geoalps.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = geoalps.nonsense


def test_importing_it_loads_neither_networks_nor_disk():
    heavy = "('torch', 'rasterio', 'numpy', 'dask')"
    code = f"import sys, geoalps, geoalps.cli; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_the_main_job_loads_nothing_it_does_not_need():
    """Seconds of everybody's start: tables, plots, a cluster's scheduler and networks are for who asks for them."""
    heavy = ["distributed", "geopandas", "matplotlib", "pandas", "sklearn", "torch", "xarray"]
    code = f"import sys, geoalps.cli.run, geoalps.models.regions; print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_error_is_in_the_tree_of_the_docstring():
    made = [name for name, thing in vars(errors).items() if isinstance(thing, type)]
    assert all(name in errors.__doc__ for name in made)


def test_ours_are_registered_as_a_strangers_would_be():
    assert {"regions", "sam"} <= set(names("segmenters"))


@pytest.mark.parametrize("segmenter", [RegionSegmenter(), RegionSegmenter(altitude=1e5), PlainSegmenter()])
def test_conformance(segmenter):
    check_segmenter(segmenter)


class Broken(PlainSegmenter):
    """Breaks the protocol in one way."""

    def __init__(self, how):
        object.__setattr__(self, "how", how)

    @property
    def identity(self):
        return {"name": "broken", "when": self} if self.how == "identity" else {"name": "broken"}

    def segment(self, image, valid):
        segments, embedding = super().segment(image, valid)
        if self.how == "twice":
            segments = segments.take([0, *range(len(segments))]) if len(segments) else segments
        if self.how == "nan":
            embedding = EmbeddingMap(embedding.values * float("nan"), embedding.shape)
        if self.how == "outside":
            segments = segments.shift(1, 0)
        return (segments, "map") if self.how == "type" else (segments, embedding)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("identity", "no JSON"),
        ("twice", "covered some twice"),
        ("nan", "not finite"),
        ("outside", "reaches out"),
        ("type", "str for the embedding"),
    ],
)
def test_broken_segmenters_are_told_how(how, said):
    with pytest.raises(PluginError, match=said):
        check_segmenter(Broken(how))
    with pytest.raises(PluginError, match="lacks"):
        check_encoder(Broken(how))


def test_environment_yml_has_the_dependencies_of_pyproject():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    conda = (root / "environment.yml").read_text()
    for dependency in project["dependencies"]:
        name, bound = dependency.split(">=")
        name = {"torch": "pytorch"}.get(name, name).split("[")[0]
        assert name in conda, name
        assert bound in conda, dependency
