"""What all exports have in common: progress that adds up, and a mark that says how they were made."""

import json
from functools import partial

import pytest

from geoalps import __version__
from geoalps.io import exports
from geoalps.io.exports.target import new_file, new_folder

CHIPS = {"chip_size": 64}
WRITERS = {
    "geoparquet": partial(exports.write_geoparquet, rows=10),
    "coco": partial(exports.write_coco, **CHIPS),
    "mmseg": partial(exports.write_mmseg, block_chips=1, **CHIPS),
    "sgo": partial(exports.write_constraints, window=64),
    "sgo chips": partial(exports.write_constraint_chips, **CHIPS),
    "stac": exports.write_stac,
}


class Heard:
    """Takes what is told of progress."""

    def __init__(self):
        self.stages = []

    def start(self, stage, total):
        self.stages.append([stage, total, 0])

    def advance(self, steps=1):
        self.stages[-1][2] += steps


@pytest.mark.parametrize("form", WRITERS)
def test_every_announced_step_is_done(finished, tmp_path, form):
    heard = Heard()
    assert WRITERS[form](finished.product, tmp_path / "out", progress=heard) == tmp_path / "out"
    assert heard.stages
    assert all(total == done > 0 for _, total, done in heard.stages), heard.stages
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("form", ["coco", "mmseg", "sgo", "sgo chips"])
def test_directories_say_how_they_were_made(finished, tmp_path, form):
    WRITERS[form](finished.product, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (content["format"], content["geoalps"]) == (form.split()[0], __version__)
    assert (content["product"], content["scene"]) == ("product", "town")
    given = {**WRITERS[form].keywords, "window": None}
    assert {name: value for name, value in content["options"].items() if name in given} == {
        name: value for name, value in given.items() if name in content["options"]
    }


def contents(path):
    """Relative path -> bytes of all files in a directory, or of one file."""
    return {file.relative_to(path): file.read_bytes() for file in (path, *path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("form", WRITERS)
def test_two_exports_are_the_same(finished, tmp_path, form):
    for name in ("one", "two"):
        WRITERS[form](finished.product, tmp_path / name)
    one, two = (contents(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert one


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_directories_that_cannot_be_made_are_told(finished, tmp_path, make):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match="give another place with -o"),
        make(tmp_path / "file" / "x" / "y", finished.product, False),
    ):
        pytest.fail("nothing can be written there")
