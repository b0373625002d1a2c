"""Bad input, tried as a process: one line, the right exit code, nothing half-written."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.control import GroundControlPoint
from scenes import TILED, check_product, colours, pixels_of, plain, write

import geoalps.cli.run
from geoalps.cli import main

SMALL = ("-k", 5, *TILED)


def one_line(done, *words):
    """The process refused in one line that holds these words."""
    assert done.code == 1, done
    assert done.out == ""
    assert done.err.startswith("Error: "), done.err
    assert done.err.count("\n") == 1, done.err
    assert done.err.endswith("\n")
    for word in words:
        assert word in done.err


def usage(done, *words):
    """click refused the way it does."""
    assert done.code == 2, done
    assert "Usage: geoalps" in done.err
    assert "Error: " in done.err.splitlines()[-1]
    for word in words:
        assert word in done.err


def nothing_half_written(out):
    """No file of a product and none that is unfinished; a whole store may stay for the next try."""
    if out.is_dir():
        assert [path.name for path in out.iterdir()] == ["work"]
        assert not [path for path in out.rglob("*") if "part" in path.name]
        assert json.loads((out / "work" / "manifest.json").read_text())


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def text_file(path):
    path.write_text("no raster\n")


def header_only(path):
    plain(path)
    path.write_bytes(path.read_bytes()[:100])


def cut_short(path):
    plain(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def spoil_block(path, row, col):
    """Write over one block of a TIFF."""
    with rasterio.open(path) as file:
        offset, size = (int(file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", 1)) for what in ("OFFSET", "SIZE"))
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\x55" * size)


def spoilt(path):
    plain(path)
    spoil_block(path, 2, 2)


def spoilt_uint16(path):
    write(path, colours((200, 170)).astype(np.uint16) * 9)
    spoil_block(path, 2, 1)


def spoilt_between_the_samples(path):
    """In a scene this large the segmenter looks at windows of 384 pixels before it begins, some pixels apart."""
    values = np.zeros((1, 1600, 1600), np.uint8)
    values[:, 300:460, 300:460] = colours((160, 160), 1)
    write(path, values, nodata=0, blockxsize=16, blockysize=16)
    spoil_block(path, 24, 24)


def complex_numbers(path):
    write(path, colours((40, 40), 1).astype(np.complex64))


def gcps_only(path):
    points = [GroundControlPoint(r, c, 11 + c / 1e4, 47 - r / 1e4) for r in (0, 100) for c in (0, 50, 100)]
    write(path, colours((100, 100)), transform=None, gcps=points)


SCENES = {
    "missing": (lambda path: None, (), ["scene.tif does not exist", "give the path or URL"]),
    "no raster": (text_file, (), ["scene.tif cannot be opened", "gdalinfo"]),
    "a header and no more": (header_only, (), ["scene.tif"]),
    "cut short": (cut_short, (), ["tile r0000", "scene.tif cannot be read", "damaged or cut short"]),
    "a block in the middle": (spoilt, (), ["tile r00001c00001:", "rows 128 to 200, columns 128 to 170", "damaged"]),
    "a block, met by the stretch": (spoilt_uint16, (), ["tile r00001c00000:", "rows 128 to 200, columns 0 to 128"]),
    "a block, met by a tile": (
        spoilt_between_the_samples,
        ("--tile-size", 512),
        ["tile r00000c00000:", "rows 0 to 512", "damaged"],
    ),
    "no such band": (plain, ("--bands", "1,2,9"), ["no band 9", "1 to 3 are allowed"]),
    "two bands": (plain, ("--bands", "1,2"), ["2 bands are given", "one, or three"]),
    "complex": (complex_numbers, (), ["complex", "amplitude"]),
    "GCPs only": (gcps_only, (), ["ground control points", "gdalwarp", "scene.tif"]),
}


@pytest.mark.parametrize("kind", SCENES)
def test_scene(geoalps, tmp_path, kind):
    make, args, words = SCENES[kind]
    make(tmp_path / "scene.tif")
    args = ("tile-label", tmp_path / "scene.tif", "-o", tmp_path / "new" / "out", *SMALL, *args)
    one_line(geoalps("-q", *args), *words)
    nothing_half_written(tmp_path / "new" / "out")
    talked = geoalps(*args)
    assert talked.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in talked.err
    # what is not there yet is not made either, unless a store has begun in it
    assert (tmp_path / "new").exists() == (tmp_path / "new" / "out" / "work" / "manifest.json").exists()


def test_verbose_shows_the_traceback(geoalps, tmp_path):
    done = geoalps("-v", "tile-label", tmp_path / "scene.tif")
    assert done.code == 1
    assert "Traceback (most recent call last):" in done.err
    assert done.err.splitlines()[-1].startswith("Error: ")


def test_a_bug_is_one_line_too(monkeypatch):
    def broken(*_):
        raise KeyError("what\nnobody expected")

    monkeypatch.setattr(geoalps.cli.run, "open_scene", broken)
    done = CliRunner().invoke(main, ["tile-label", "scene.tif"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: this should not have happened: KeyError:")
    assert "geoalps -v" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("kind", "normalisation"), [("nodata", "zscore"), ("NaN", "pca"), ("alpha", "l2")])
def test_nothing_in_the_scene_gives_an_empty_product(geoalps, tmp_path, kind, normalisation):
    shape = (150, 140)
    values = {
        "nodata": np.full((3, *shape), 7, np.uint8),
        "NaN": np.full((2, *shape), np.nan, np.float32),
        "alpha": np.concatenate([colours(shape), np.zeros((1, *shape), np.uint8)]),
    }[kind]
    profile = {"nodata": {"nodata": 7}, "NaN": {}, "alpha": {"photometric": "rgb", "alpha": "yes"}}[kind]
    made = write(tmp_path / "scene.tif", values, np.zeros(shape, bool), **profile)
    out = tmp_path / "out"
    done = geoalps("tile-label", made.path, "-o", out, "--normalisation", normalisation, *SMALL)
    assert (done.code, done.out) == (0, f"{out}\n"), done.err
    assert "no objects: the scene holds no valid pixels" in done.err
    layer, _ = check_product(made, out, 5)
    assert not len(layer)


def test_more_classes_than_objects(geoalps, scene, tmp_path):
    out = tmp_path / "out"
    one_line(geoalps("-q", "tile-label", scene.path, "-o", out, *TILED, "-k", 5000), "5000 classes", "objects differ")
    nothing_half_written(out)
    # the tiles are kept for the next try
    before = digests(out / "work" / "tiles")
    assert len(before) == 4
    assert geoalps("-q", "tile-label", scene.path, "-o", out, *TILED, "-k", 5).code == 0
    assert digests(out / "work" / "tiles") == before


ARGUMENTS = {
    "no class": (usage, ("-k", 0), ["-k"]),
    "classes in words": (usage, ("-k", "many"), ["-k"]),
    "bands in words": (usage, ("--bands", "red"), ["4,3,2"]),
    "negative margin": (usage, ("--margin", -1), ["--margin"]),
    "too large a margin": (one_line, ("--margin", 65), ["margin is 65", "0 to half the tile size (64)"]),
    "too small tiles": (usage, ("--tile-size", 8), ["--tile-size"]),
    "no workers": (usage, ("--workers", 0), ["--workers"]),
    "no area": (usage, ("--max-area-fraction", 0), ["--max-area-fraction"]),
    "infinite min-area": (one_line, ("--min-area", "inf"), ["min-area is inf"]),
    "simplify by nothing": (one_line, ("--simplify", "nan"), ["simplify is nan"]),
    "percentiles out of order": (one_line, ("--percentiles", 98, 2), ["percentiles are 98", "ascending"]),
    "percentiles out of range": (usage, ("--percentiles", -1, 2), ["--percentiles"]),
    "unknown segmenter": (one_line, ("--segmenter", "magic"), ["no segmenter 'magic'", "regions, sam"]),
    "unknown encoder": (one_line, ("--encoder", "magic"), ["no encoder 'magic'"]),
    "unknown option": (one_line, ("--option", "depth=3"), ["no option 'depth'", "regions_per_mpx"]),
    "option of another": (one_line, ("--checkpoint", "x.pth"), ["'regions' has no option 'checkpoint'"]),
    "option without value": (usage, ("--option", "depth"), ["name=value"]),
    "option out of range": (one_line, ("--option", "regions_per_mpx=-3"), ["regions-per-mpx is -3"]),
    "option in words": (one_line, ("--option", "regions_per_mpx=many"), ["regions", "many"]),
    "class model that is not there": (usage, ("--class-model", "nowhere"), ["nowhere"]),
    "unknown flag": (usage, ("--magic",), ["--magic"]),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_argument(geoalps, scene, tmp_path, kind):
    refused, args, words = ARGUMENTS[kind]
    refused(geoalps("-q", "tile-label", scene.path, "-o", tmp_path / "out", *SMALL, *args), *words)
    assert not (tmp_path / "out").exists()


def test_existing_product_is_left_alone(geoalps, scene, product, tmp_path):
    before = digests(product)
    one_line(
        geoalps("-q", "tile-label", scene.path, "-o", product, *SMALL), f"{product} holds a product", "--overwrite"
    )
    assert digests(product) == before


def test_a_failed_overwrite_leaves_the_old_product(geoalps, scene, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    before = digests(out)
    one_line(geoalps("-q", "tile-label", scene.path, "-o", out, *TILED, "-k", 5000, "--overwrite"), "5000 classes")
    assert digests(out) == before


def test_store_made_with_other_options(geoalps, scene, product, tmp_path):
    store = shutil.copytree(product / "work", tmp_path / "out" / "work")
    before = digests(store)
    options = ("tile-label", scene.path, "-o", tmp_path / "out", *SMALL)
    one_line(geoalps("-q", *options, "--margin", 16), "grid.margin: 32, now 16", "--overwrite")
    one_line(geoalps("-q", *options, "--option", "smallest=30"), "segmenter.options.smallest: 24, now 30")
    one_line(geoalps("-q", "segment", scene.path, "-o", store, *TILED, "--bands", "3,2,1"), "scene.bands")
    assert digests(store) == before
    assert geoalps("-q", *options, "--margin", 16, "--overwrite").code == 0
    check_product(scene, tmp_path / "out", 5)


def test_output_in_the_way(geoalps, scene, tmp_path):
    (tmp_path / "file").write_text("here\n")
    (tmp_path / "out" / "labels.gpkg").mkdir(parents=True)
    run = ("-q", "tile-label", scene.path, *SMALL, "-o")
    usage(geoalps(*run, tmp_path / "file"), "is a file")
    one_line(geoalps(*run, tmp_path / "file" / "out"), "cannot write to", "-o")
    one_line(geoalps(*run, tmp_path / "out"), "labels.gpkg is a directory")
    one_line(geoalps("-q", "segment", scene.path, *TILED, "-o", tmp_path / "file" / "out"), "cannot write to", "-o")
    assert (tmp_path / "file").read_text() == "here\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labels.gpkg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is writable to root")
def test_output_without_permission(geoalps, scene, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    one_line(geoalps("-q", "tile-label", scene.path, "-o", locked / "out", *SMALL), "cannot write to", "ermission")
    one_line(geoalps("-q", "segment", scene.path, "-o", locked / "out", *TILED), "cannot write to", "ermission")


def test_a_product_is_no_scene(geoalps, product, tmp_path):
    run = ("-q", "tile-label", "-o", tmp_path / "out", *SMALL)
    one_line(geoalps(*run, product), f"{product} is a product, no scene")
    one_line(geoalps(*run, product / "labels.gpkg"), "labels.gpkg")
    one_line(geoalps(*run, product / "work"), "work")
    assert not (tmp_path / "out").exists()


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def drop_last(content):
    content["classes"].pop()


MODELS = {
    "nothing there": (lambda model: (model / "classes.json").unlink(), ["holds no class model", "geoalps fit"]),
    "no arrays": (lambda model: (model / "classes.npz").unlink(), ["no classes.npz"]),
    "no JSON": (lambda model: (model / "classes.json").write_text("{"), ["damaged"]),
    "another JSON": (lambda model: (model / "classes.json").write_text("[1]"), ["damaged"]),
    "arrays cut short": (lambda model: (model / "classes.npz").write_bytes(b"PK\3\4 and no more"), ["damaged"]),
    "empty arrays": (lambda model: (model / "classes.npz").write_bytes(b""), ["damaged"]),
    "pickled arrays": (
        lambda model: np.savez(model / "classes.npz", **dict.fromkeys(("centres", "shift", "basis"), np.array([{}]))),
        ["damaged"],
    ),
    "a class too few": (lambda model: edit(model / "classes.json", drop_last), ["do not fit together"]),
    "no source": (lambda model: edit(model / "classes.json", lambda c: c.update(source={})), ["do not fit together"]),
    "no colour": (
        lambda model: edit(model / "classes.json", lambda c: c["classes"][3].update(colour="red")),
        ["class 3 has colour 'red'", "#rrggbb"],
    ),
    "one name for two": (
        lambda model: edit(model / "classes.json", lambda c: c["classes"][3].update(class_name="class 1")),
        ["classes 1, 3 are all named 'class 1'"],
    ),
    "another segmenter's": (
        lambda model: edit(model / "classes.json", lambda c: c["source"]["segmenter"].update(name="sam")),
        ["fitted with segmenter 'sam'", "'regions'"],
    ),
    "another encoder's": (
        lambda model: edit(model / "classes.json", lambda c: c["source"].update(encoder={"name": "dino"})),
        ["fitted with encoder 'dino'", "None"],
    ),
    "of more bands": (
        lambda model: edit(
            model / "classes.json",
            lambda c: c["source"].update(spectra={"bands": [4], "stretches": [c["source"]["stretch"]]}),
        ),
        ["3 bands", "4"],
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_class_model(geoalps, scene, product, tmp_path, kind):
    spoil, words = MODELS[kind]
    model = tmp_path / "model"
    model.mkdir()
    for name in ("classes.json", "classes.npz"):
        shutil.copy(product / name, model)
    spoil(model)
    out = tmp_path / "new" / "out"
    one_line(geoalps("-q", "tile-label", scene.path, "-o", out, "--class-model", model, *SMALL), *words)
    assert not (tmp_path / "new").exists(), "refused only when all the work was done"


def test_stages_apart(geoalps, scene, product, tmp_path):
    store, model = shutil.copytree(product / "work", tmp_path / "store"), tmp_path / "model"
    one_line(geoalps("-q", "fit", tmp_path / "nowhere", "-o", model), "nowhere does not exist")
    one_line(geoalps("-q", "fit", store, "-o", model, "-k", 5000), "5000 classes")
    one_line(geoalps("-q", "fit", store, "-o", product), "holds a class model already", "--overwrite")
    assert not model.exists()
    out = tmp_path / "out"
    one_line(geoalps("-q", "label", store, "--class-model", tmp_path / "nowhere", "-o", out), "no class model")
    one_line(geoalps("-q", "label", store, "--class-model", product, "-o", product), "holds a product", "--overwrite")
    one_line(geoalps("-q", "info", tmp_path / "nowhere"), "nowhere does not exist")
    tile = next((store / "tiles").glob("*/*"))
    tile.write_bytes(tile.read_bytes()[:-40])
    (store / "seams.npz").unlink()
    one_line(geoalps("-q", "label", store, "--class-model", product, "-o", out), tile.stem, "cannot be read", "delete")
    tile.unlink()
    one_line(geoalps("-q", "label", store, "--class-model", product, "-o", out), tile.stem, "geoalps segment")
    one_line(geoalps("-q", "fit", store, "-o", model), tile.stem, "geoalps segment")
    for damage in ("{", "[]", "{}"):
        (store / "manifest.json").write_text(damage)
        for command in (("info", store), ("fit", store, "-o", model), ("label", store, "--class-model", product)):
            extra = ("-o", out) if command[0] == "label" else ()
            one_line(geoalps("-q", *command, *extra), str(store))
    assert not out.exists()


def test_info_of_a_damaged_product(geoalps, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    (out / "labels.gpkg").unlink()
    one_line(geoalps("info", out), "is not whole (no labels.gpkg)", "--overwrite")
    (out / "labels.gpkg").write_text("nothing\n")
    one_line(geoalps("info", out), "labels.gpkg")
    (out / "run.json").write_text("{")
    one_line(geoalps("info", out), "run.json")


def test_a_pickle_for_a_checkpoint_and_a_process_from_nothing(scene, tmp_path):
    """The other bad checkpoints are tried in ``test_sam_product.py``: to start a process with torch takes long."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    file, out = tmp_path / "pickled.pth", tmp_path / "new" / "out"
    file.write_bytes(pickle.dumps({"model": Trap()}))
    command = [sys.executable, "-m", "geoalps", "-q", "tile-label", scene.path, "-o", out]
    command += ["--segmenter", "sam", "--checkpoint", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {file} cannot be read as a checkpoint")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "trapped").exists(), "a checkpoint ran code"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a file's size stands for a full disk")
@pytest.mark.parametrize("largest", [700, 2500, 16_000, 110_000, 140_000])
def test_full_disk(geoalps, scene, product, tmp_path, largest):
    """Whichever file it is that cannot be finished, the next try goes on and ends at the same product."""
    args = ("-q", "tile-label", scene.path, "-o", tmp_path / "out", *SMALL)
    done = geoalps(*args, largest_file=largest)
    assert done.code == 1, "raise no limit: everything fitted"
    assert done.err.splitlines()[-1].startswith("Error: ")
    assert "disk" in done.err
    assert "Traceback" not in done.err
    nothing_half_written(tmp_path / "out")
    assert geoalps(*args).code == 0
    for new, old in zip(pixels_of(tmp_path / "out"), pixels_of(product), strict=True):
        assert (new == old).all()


RASTERS = """
import json, os, resource, sys
import numpy as np
from pathlib import Path
from geoalps.grid import TileGrid
from geoalps.io.rasters import CoreWriter, Georeference, check_objects, write_cog, write_labels

fields = {"shape": (300, 300), "transform": (1, 0, 0, 0, -1, 0), "crs": None}
ids = np.random.default_rng(0).integers(0, 60_000, (300, 300)).astype(np.uint32)
classes = np.append(np.uint8(255), np.arange(1, 60_000) % 7).astype(np.uint8)

def rasters(folder, full):
    if "work" in folder.name:
        full()
    with CoreWriter(folder / "objects.work.tif", Georeference.from_json(fields), "uint32", 0, 256) as file:
        for tile in TileGrid((300, 300), 100, 0):
            file.write(tile.core, ids[tile.core.slices()])
    if "cog" in folder.name:
        full()
    write_cog(folder / "objects.work.tif", folder / "objects.tif", "nearest")
    check_objects(folder / "objects.tif", np.bincount(ids.ravel(), minlength=60_000))
    full()
    write_labels(folder / "labels.tif", folder / "objects.tif", classes, {255: (0, 0, 0, 0)})

ends = {}
for stage in ("work", "cog", "labels"):
    for limit in (1000, 100_000, 150_000, 200_000, 230_000, 260_000, 10_000_000):
        folder = Path(f"{stage}-{limit}")
        folder.mkdir()
        reader, writer = os.pipe()
        if not os.fork():
            try:
                rasters(folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                os.write(writer, b"whole")
            except BaseException as error:
                os.write(writer, type(error).__name__.encode())
            os._exit(0)
        os.wait()
        ends[str(folder)] = os.read(reader, 100).decode()
print(json.dumps(ends))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a file's size stands for a full disk")
def test_rasters_that_gdal_could_not_finish_are_found(tmp_path):
    """GDAL closes a file that lacks its last blocks without a word."""
    done = subprocess.run([sys.executable, "-c", RASTERS], cwd=tmp_path, capture_output=True, text=True, check=True)
    ends = json.loads(done.stdout)
    assert set(ends.values()) == {"whole", "ProductError"}, ends
    for stage, least in (("work", 200_000), ("cog", 200_000), ("labels", 1000)):
        whole = [int(name.split("-")[1]) for name, end in ends.items() if name.startswith(stage) and end == "whole"]
        assert min(whole) > least, ends
