"""What goes wrong while it runs: it ends in a right product, or in one line that says what to do."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from functools import partial

import fragile
import numpy as np
import pytest
import rasterio
from affine import Affine
from comparison import differences, tiles
from running import Before, Running, run, stopped
from scenes import PLACE, Made, check_product, colours, hole, pixels_of, plain, write

from geoalps.cli.run import scene_paths
from geoalps.errors import SceneError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and watched in /proc")

TILED = ("--tile-size", 48, "--margin", 12, "--option", "regions_per_mpx=1500")
TILE = "r?????c?????.parquet"
BAD, WORSE = (251, 3, 7), (5, 252, 1)
"""Colours of spots in the cores of the tiles r00001c00002 and r00003c00000."""


def one_line(done, *words):
    """The process ended with exit code 1 and one line that holds these words."""
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1), done
    assert done.err.startswith("Error: ")
    for word in words:
        assert word in done.err


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """16 tiles, in two of which there is a spot."""
    values = colours((192, 192))
    fragile.mark(values, 72, 120, BAD)
    fragile.mark(values, 168, 24, WORSE)
    return write(tmp_path_factory.mktemp("scene") / "town.tif", values, photometric="rgb")


@pytest.fixture
def label(scene):
    """Runs ``geoalps tile-label`` on the scene to its end."""
    return partial(run, "-q", "tile-label", scene.path, *TILED, "-k", 5)


@pytest.fixture(scope="module")
def undisturbed(scene, tmp_path_factory):
    """A product, to be read or copied only."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run("-q", "tile-label", scene.path, *TILED, "-k", 5, "-o", out).code == 0
    return out


@pytest.fixture
def plugins(tmp_path):
    """A directory with the plug-in ``fragile``, and that of its fates."""
    return tmp_path / "plugins", fragile.install(tmp_path / "plugins")


# Workers and tiles


def test_a_tile_that_fails_is_named_and_tried_again(label, plugins, undisturbed, tmp_path):
    """So it is with workers, one of which dies: see ``test_determinism.py``."""
    folder, fates = plugins
    out, settings = tmp_path / "out", ("--segmenter", "fragile")
    bad = [fragile.fate(fates, colour, "fail") for colour in (BAD, WORSE)]
    for fate in bad:
        fate.touch()
    done = label(*settings, "-o", out, plugins=folder)
    one_line(done, "2 of 16 tiles failed: ", "r00003c00000: ValueError: seen what nobody should see;", "r00001c00002:")
    assert not (out / "run.json").exists()
    before = tiles(out)
    assert len(before) == 14
    bad[0].unlink()
    one_line(label(*settings, "-o", out, plugins=folder), "1 of 2 tiles failed: r00003c00000")
    assert len(tiles(out)) == 15
    bad[1].unlink()
    assert label(*settings, "-o", out, plugins=folder).code == 0
    assert tiles(out).items() >= before.items()
    # the name of the plug-in is in the class model
    assert differences(out, undisturbed) == ["classes.json"]


def test_a_tile_that_fails_may_be_left_out_and_is_tried_again(label, scene, plugins, tmp_path):
    folder, fates = plugins
    out, settings = tmp_path / "out", ("--segmenter", "fragile", "--on-error", "skip")
    bad = fragile.fate(fates, WORSE, "fail")
    bad.touch()
    assert label(*settings, "-o", out, plugins=folder).code == 0
    _, report = check_product(scene, out, 5, covers=False)
    assert report["damaged_tiles"] == {"r00003c00000": "r00003c00000: ValueError: seen what nobody should see"}
    left_out = pixels_of(out)[1] == 0
    assert left_out[144:, :48].all()
    assert left_out.sum() == 48 * 48
    bad.unlink()
    assert label(*settings, "--overwrite", "-o", out, plugins=folder).code == 0
    _, report = check_product(scene, out, 5)
    assert report["damaged_tiles"] == {}


# The scene


def test_a_damaged_block_is_left_uncovered_and_told(tmp_path):
    made = plain(tmp_path / "scene.tif", (192, 192))
    with rasterio.open(made.path) as file:
        offset, size = (int(file.get_tag_item(f"BLOCK_{what}_2_1", "TIFF", 1)) for what in ("OFFSET", "SIZE"))
    with made.path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\x55" * size)
    made.valid[64:128, 128:192] = False
    command = ("-q", "tile-label", made.path, "-o", tmp_path / "out", "-k", 5, *TILED)
    one_line(run(*command), "tile r00001c00002:", "damaged")
    assert run(*command, "--on-error", "skip").code == 0
    _, report = check_product(made, tmp_path / "out", 5)
    # every window that reaches the block
    assert set(report["damaged_tiles"]) == {f"r0000{row}c0000{col}" for row in (1, 2) for col in (2, 3)}
    assert report["damaged_tiles"]["r00001c00002"] == f"{(108 - 64) * (156 - 128)} pixels cannot be read"


def test_a_scene_that_changes_meanwhile_is_refused_and_its_tiles_are_not_used(scene, undisturbed, tmp_path):
    path = shutil.copy(scene.path, tmp_path / "town.tif")
    command = ("-q", "tile-label", path, *TILED, "-k", 5, "-o", tmp_path / "out")
    done = run(*command, before=Before(TILE, 5, partial(os.utime, path, (10, 10))))
    one_line(done, "town.tif changed while it was read", "--overwrite")
    assert not (tmp_path / "out" / "run.json").exists()
    one_line(run(*command), "scene.mtime_ns", "now 10000000000", "--overwrite")
    assert run(*command, "--overwrite").code == 0
    assert not differences(tmp_path / "out", undisturbed)


def huge_vrt(path):
    band = '<VRTRasterBand dataType="Byte" band="1"/><GeoTransform>0,1,0,0,0,-1</GeoTransform>'
    path.write_text(f'<VRTDataset rasterXSize="2000000000" rasterYSize="2000000000">{band}</VRTDataset>')


def huge_png(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 90_000, 90_000, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def huge_blocks(path):
    size = {"width": 60_000, "height": 60_000, "count": 3, "dtype": "float64", "blockysize": 60_000}
    with rasterio.open(path, "w", driver="GTiff", compress="deflate", sparse_ok=True, **size):
        pass


HUGE = {
    "vrt": (huge_vrt, ["2000000000 x 2000000000 pixels would be 3814697265625 tiles", "--tile-size"]),
    "png": (huge_png, ["tile r00000c00000", "rows 0 to", "damaged or cut short"]),
    "tif": (huge_blocks, ["blocks of 60000 x 60000", "gdal_translate"]),
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", HUGE)
def test_a_huge_header_over_a_tiny_file_is_refused(tmp_path, kind):
    make, words = HUGE[kind]
    make(tmp_path / f"scene.{kind}")
    assert (tmp_path / f"scene.{kind}").stat().st_size < 10_000
    one_line(run("-q", "tile-label", tmp_path / f"scene.{kind}", "-o", tmp_path / "out"), *words)
    assert not (tmp_path / "out" / "run.json").exists()


def test_infinity_nan_and_stripes_without_data(tmp_path):
    values = colours((210, 224)).astype(np.float32) / 10
    values[:, 60:140], values[:, :, 60:135] = -1, -1  # whole tiles, and crossing
    values[1, 10:20, 10:40], values[2, 160:180, 20:50], values[:, 190:200, 150:200] = np.inf, -np.inf, np.nan
    values[0, 2:6, 2:6] = np.finfo(np.float32).max
    made = write(tmp_path / "scene.tif", values, (np.isfinite(values) & (values != -1)).all(0), nodata=-1)
    done = run("-q", "tile-label", made.path, "-o", tmp_path / "out", "-k", 5, *TILED)
    assert (done.code, done.err) == (0, "")
    layer, _ = check_product(made, tmp_path / "out", 5)
    assert len(layer) > 10


# The store and the output


def test_two_runs_into_one_directory(label, scene, undisturbed, tmp_path):
    out = tmp_path / "out"
    first = Running("-q", "tile-label", scene.path, *TILED, "-k", 5, "-o", out, before=Before(TILE, 5, stopped))
    first.when(lambda: first.stopped)
    before = tiles(out)
    one_line(label("-o", out), f"another run is writing to {out / 'work'}", "-o for another directory")
    one_line(run("-q", "segment", scene.path, "-o", out / "work", *TILED), "another run is writing to")
    assert tiles(out) == before
    assert first.send(signal.SIGCONT).end().code == 0
    assert not differences(out, undisturbed)


@pytest.fixture
def read_only(tmp_path):
    """An empty file system that nobody can write to, root neither."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "ro", "none", folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run([umount, folder], check=True)


def test_output_that_cannot_be_written(label, scene, read_only):
    one_line(label("-o", read_only / "out"), f"cannot write to {read_only / 'out'}", "Read-only file system", "-o for")
    one_line(run("-q", "segment", scene.path, "-o", read_only), "cannot write to", "Read-only file system", "-o for")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def spoil(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(byte ^ 255 for byte in content[middle : middle + 40])
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


DERIVED = [
    ("painted/objects.tif", cut), ("painted/objects.tif", spoil), ("painted/objects.npz", spoil),
    ("painted/polygons.parquet", spoil), ("seams.npz", spoil), ("seams.npz", cut), ("joined.npy", cut),
    ("joined.npy", empty),
]  # fmt: skip


def test_what_is_derived_from_the_tiles_is_made_again_when_it_is_damaged(label, undisturbed, tmp_path):
    """One sort of damage after the other in one store: each is mended by the next run."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    before = tiles(out)
    for name, damage in DERIVED:
        damage(out / "work" / name)
        done = label("--overwrite", "-o", out)
        assert (done.code, done.err) == (0, ""), (name, damage)
        assert not differences(out, undisturbed), (name, damage)
    assert tiles(out) == before


def test_a_damaged_tile_is_named_and_done_again_once_it_is_deleted(label, undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed / "work", out / "work")
    before = tiles(out)
    file = out / "work" / "tiles" / "r00001" / "r00001c00002.parquet"
    for damage in (spoil, cut, empty):
        damage(file)
        one_line(label("-o", out, "-k", 4), "tile r00001c00002", "cannot be read", "delete")
    file.unlink()
    assert label("-o", out).code == 0
    assert {name for name, time in tiles(out).items() if before[name] != time} == {"r00001c00002"}
    assert not differences(out, undisturbed)


def test_a_segmenter_that_was_adapted_is_known_or_adapted_again(label, undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    known = out / "work" / "segmenter.json"
    known.write_text("{")
    one_line(label("-o", out, "--overwrite"), f"{known} cannot be read", "delete it")
    known.unlink()
    assert label("-o", out, "--overwrite").code == 0
    assert not differences(out, undisturbed)


# Many scenes


def test_many_scenes_of_any_size_and_place_share_their_classes(tmp_path):
    folder, out = tmp_path / "scenes", tmp_path / "out"
    folder.mkdir()
    values = colours((120, 130))
    made = {
        "east": write(folder / "east.tif", values, photometric="rgb"),
        "moved": write(
            folder / "moved.tif", values, crs="EPSG:3035", transform=Affine(PLACE.a, 0, 4e6, 0, PLACE.e, 3e6)
        ),
        "north": write(folder / "north.tif", values[:, :90, 36:], hole((90, 94)), nodata=0),
        "world": plain(folder / "world.tif", (60, 150), crs="EPSG:4326", transform=Affine(1e-5, 0, 11, 0, -1e-5, 47)),
    }
    with rasterio.open(made["north"].path, "r+") as file:
        file.write(np.where(made["north"].valid, file.read(), np.uint8(0)))
    (folder / "notes.txt").write_text("no scene\n")
    done = run("-q", "tile-label", folder, "-o", out, "-k", 5, *TILED)
    assert (done.code, done.out.split()) == (0, [str(out / name) for name in made]), done.err
    models = {(out / name / "classes.json").read_text() for name in made}
    assert len(models) == 1
    assert json.loads(models.pop())["source"]["scenes"] == list(made)
    for name, scene in made.items():
        check_product(Made(scene.path, scene.valid), out / name, 5)
    # what looks alike is alike, wherever it lies
    for one, other in zip(pixels_of(out / "east"), pixels_of(out / "moved"), strict=True):
        assert (one == other).all()
    colour = {name: palette(out / name) for name in made}
    assert colour["east"] == colour["moved"] == colour["north"] == colour["world"]


def palette(out):
    with rasterio.open(out / "labels.tif") as file:
        return file.colormap(1)


def test_files_a_directory_and_patterns_name_scenes(tmp_path):
    for name in ("b.tif", "a.tif", "c.TIF", "c.tif.aux.xml", "notes.txt"):
        (tmp_path / name).touch()
    files = [str(tmp_path / name) for name in ("a.tif", "b.tif", "c.TIF")]
    assert scene_paths((str(tmp_path),)) == files
    assert scene_paths((str(tmp_path / "[ab].tif"), files[2])) == files
    assert scene_paths((files[1], files[0], str(tmp_path))) == [files[1], files[0], files[2]]
    for name in (str(tmp_path / "x*.tif"), str(tmp_path / "nothing")):
        (tmp_path / "nothing").mkdir(exist_ok=True)
        with pytest.raises(SceneError, match="holds no scenes"):
            scene_paths((name,))
