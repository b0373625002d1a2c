"""Where users stumbled: what they did, and what they are told now."""

import numpy as np
import pytest
import rasterio


@pytest.fixture(scope="module")
def folder(geoalps, tmp_path_factory):
    """A made scene and its product of four classes, two of them named and one merged."""
    folder = tmp_path_factory.mktemp("stumbling")
    for command in ("sample town.tif --size 512 --seed 3", "tile-label town.tif -k 4"):
        assert geoalps("-q", *command.split(), cwd=folder).code == 0
    (folder / "names.csv").write_text("class_id,name,merge_into\n0,grass,\n1,roofs,\n2,,1\n")
    assert geoalps("-q", "relabel", "town_labels", "names.csv", cwd=folder).code == 0
    return folder


def run(geoalps, folder, command):
    return geoalps(*command.split(), cwd=folder)


def test_names_survive_an_overwrite(geoalps, folder):
    before = (folder / "town_labels" / "classes.csv").read_bytes()
    done = run(geoalps, folder, "tile-label town.tif -k 5 --overwrite")
    assert done.code == 0
    assert "named, merged or split: they are kept in town_labels/classes_before" in done.err
    assert (folder / "town_labels" / "classes.csv").read_bytes() != before
    back = run(geoalps, folder, "tile-label town.tif --overwrite --class-model town_labels/classes_before")
    assert back.code == 0
    assert "classes_before" not in back.err  # nobody named the five
    assert (folder / "town_labels" / "classes.csv").read_bytes() == before
    again = run(geoalps, folder, "tile-label town.tif --overwrite --simplify 1 --class-model town_labels")
    assert again.code == 0
    assert "named, merged" not in again.err
    assert (folder / "town_labels" / "classes.csv").read_bytes() == before


def test_a_column_that_is_misspelt_is_told(geoalps, folder):
    (folder / "typo.csv").write_text("class_id,nmae\n0,meadow\n")
    done = run(geoalps, folder, "relabel town_labels typo.csv")
    assert done.code == 1
    assert "has a column 'nmae'; is it to be name?" in done.err
    (folder / "more.csv").write_text("class_id,name,seen_by\n0,grass,me\n")
    assert run(geoalps, folder, "relabel town_labels more.csv").code == 0


def test_a_merge_that_is_taken_back_is_told(geoalps, folder):
    (folder / "apart.csv").write_text("class_id,name,merge_into\n2,sheds,\n")
    done = run(geoalps, folder, "relabel town_labels apart.csv")
    assert "class 2 is no longer merged into 1" in done.err
    assert run(geoalps, folder, "relabel town_labels names.csv").code == 0


def test_a_product_that_lost_a_file_says_how_to_keep_its_names(geoalps, folder):
    lost = folder / "town_labels" / "labels.gpkg"
    kept = lost.rename(folder / "kept.gpkg")
    done = run(geoalps, folder, "info town_labels")
    assert done.code == 1
    assert "tile-label SCENE -o town_labels --overwrite --class-model town_labels` makes it again" in done.err
    kept.rename(lost)
    for name in ("labels.qml", "labels.tif.aux.xml", "report.html"):
        (folder / "town_labels" / name).unlink()
    assert run(geoalps, folder, "relabel town_labels").code == 0
    assert (folder / "town_labels" / "labels.qml").exists()


def test_a_legend_for_classes_without_names_is_refused(geoalps, folder):
    assert run(geoalps, folder, "-q tile-label town.tif -o plain -k 3").code == 0
    done = run(geoalps, folder, "relabel plain --legend worldcover")
    assert done.code == 1
    assert "no class has a name yet that worldcover could know" in done.err


def test_what_is_not_finished_is_known(geoalps, folder):
    assert run(geoalps, folder, "-q segment town.tif -o begun/work").code == 0
    done = run(geoalps, folder, "info begun")
    assert done.code == 0
    assert "not finished; the command that began it goes on" in done.out


def test_a_scene_of_few_objects_needs_no_number(geoalps, folder, tmp_path):
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.3, 0, 500000, 0, -0.3, 5200000)}
    shape = {"driver": "GTiff", "count": 3, "height": 60, "width": 60, "dtype": "uint8"}
    with rasterio.open(tmp_path / "tiny.tif", "w", **shape, **place) as file:
        file.write(np.repeat(np.where(np.arange(60) < 30, 40, 200)[None, None], 3, 0).repeat(60, 1).astype(np.uint8))
    done = run(geoalps, tmp_path, "tile-label tiny.tif")
    assert done.code == 0
    assert "objects differ: 2 classes, not 16" in done.err
    asked = run(geoalps, tmp_path, "tile-label tiny.tif -k 16 --overwrite")
    assert asked.code == 1
    assert "16 classes were asked for, and no more than 2 objects differ; use -k 2 or fewer" in asked.err


@pytest.mark.parametrize("name", ["out.gpkg", "out.tif"])
def test_a_file_for_a_directory(geoalps, folder, name):
    done = run(geoalps, folder, f"tile-label town.tif -o {name}")
    assert done.code == 1
    assert f"{name} is the name of a file, and a product is a directory; give -o out/" in done.err


def test_a_command_that_is_misspelt(geoalps, folder):
    done = run(geoalps, folder, "tile-labl town.tif")
    assert done.code == 2
    assert "Did you mean 'tile-label'?" in done.err
