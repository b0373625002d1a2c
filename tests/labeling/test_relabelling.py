"""Relabelling: any names, colours, merges and splits, and back again; the product stays whole."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import shapely

import geoalps as ga
from geoalps.errors import OptionError, ProductError
from geoalps.io.class_table import read_class_table
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.relabelling import relabel, split_class
from geoalps.testing import PlainSegmenter

K = 5


def picture(seed=0, shape=(150, 190), patches=60, colours=12):
    """(3, h, w) uint8: patches of some colours, and nodata (0) in a corner."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    seeds = rng.random((patches, 2)) * shape
    cell = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    image = rng.integers(1, 256, (colours, 3)).astype(np.uint8)[rng.integers(0, colours, patches)[cell]]
    image[:20, 100:] = 0
    return image.transpose(2, 0, 1)


def write(path, image, **profile):
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.5, 0, 500000, 0, -0.5, 5200000), "nodata": 0}
    shape = {"count": len(image), "height": image.shape[1], "width": image.shape[2], "dtype": image.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile) as file:
        file.write(image)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return ga.tile_label(
        write(folder / "town.tif", picture()), folder / "out", K, segmenter=PlainSegmenter(), tile_size=64, margin=16
    )


@pytest.fixture
def product(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "out")
    return ga.Product.open(tmp_path / "out")


def entries(product):
    return ClassModel.load(product.path).classes


def content(product):
    """All that a user can see of a product."""
    objects, classes = product.objects(), product.classes()
    files = (
        "classes.csv",
        "classes.json",
        "classes.npz",
        "run.json",
        "labels.tif.aux.xml",
        "labels.qml",
        "labels.tif",
        "objects.tif",
    )
    return {
        "objects": objects.drop(columns="geometry").to_dict("list") | {"geometry": objects.geometry.to_wkb().tolist()},
        "classes": classes.fillna({"merge_into": -1}).to_dict("list"),
        **{name: (product.path / name).read_bytes() for name in files},
    }


def legend(product):
    """Name by class id, as QGIS shows them."""
    import sqlite3
    from contextlib import closing
    from xml.etree import ElementTree as ET

    with closing(sqlite3.connect(product.path / "labels.gpkg")) as database:
        ((qml,),) = database.execute("SELECT styleQML FROM layer_styles WHERE f_table_name = 'objects'").fetchall()
    return {int(c.get("value")): c.get("label") for c in ET.fromstring(qml).iter("category")}  # noqa: S314 - ours


def check(product, fitted):
    """All files of a product say the same, and what the class of every object before merging says."""
    model, objects = ClassModel.load(product.path), product.objects()
    assert objects.fitted_class_id.tolist() == fitted
    shown = model.merged[fitted]
    assert objects.class_id.tolist() == shown.tolist()
    names = {c.class_id: c.class_name for c in model.classes if c.merge_into is None}
    assert objects.class_name.tolist() == [names[number] for number in shown]
    assert legend(product) == names
    table = product.classes().set_index("class_id")
    assert table.class_name.to_dict() == names
    assert table.object_count.to_dict() == {n: int((shown == n).sum()) for n in names}
    areas = objects.groupby("class_id").area_m2.sum()
    assert all(table.area_m2[n] == pytest.approx(areas.get(n, 0)) for n in names)
    values = np.zeros(objects.object_id.max() + 1, int)
    values[0], values[objects.object_id] = 255, shown
    assert np.array_equal(product.labels(), values[product.object_ids().to_numpy()])
    with rasterio.open(product.path / "labels.tif") as file:
        colours = file.colormap(1)
        assert all(colours[c.class_id][:3] == tuple(bytes.fromhex(c.colour[1:])) for c in model.classes)
    assert read_class_table(product.path / "classes.csv") == model.classes
    assert product.run()["n_classes"] == len(model)


def test_names_colours_and_merges_go_everywhere_and_back(product):
    before, fitted = content(product), product.objects().class_id.tolist()
    check(product, fitted)
    first = entries(product)
    changed = (
        replace(first[0], class_name="water & mud", colour="#0000ff"),
        replace(first[1], merge_into=3),
        first[2],
        replace(first[3], class_name="wood"),
        replace(first[4], class_name="wood", merge_into=3),
    )
    relabel(product, changed)
    check(product, fitted)
    assert entries(product) == changed
    assert set(np.unique(product.labels())) == {0, 2, 3, 255}
    # merged from the state that the merge made
    relabel(product, (*changed[:4], replace(changed[4], merge_into=None, class_name="other")))
    check(product, fitted)
    relabel(product, first)
    assert content(product) == before


def test_what_a_user_added_to_the_geopackage_stays(product):
    import sqlite3

    with sqlite3.connect(product.path / "labels.gpkg") as database:
        database.execute("ALTER TABLE classes ADD COLUMN note TEXT")
        database.execute("UPDATE classes SET note = 'wet' WHERE class_id = 0")
        database.execute(
            "INSERT INTO layer_styles (f_table_name, f_geometry_column, styleName, styleQML, useAsDefault) "
            "VALUES ('objects', 'geom', 'mine', '<qgis/>', 0)"
        )
    database.close()
    relabel(product, [replace(entry, class_name=f"kind {entry.class_id}") for entry in entries(product)])
    with sqlite3.connect(product.path / "labels.gpkg") as database:
        assert database.execute("SELECT note FROM classes WHERE class_id = 0").fetchall() == [("wet",)]
        styles = database.execute("SELECT styleName, useAsDefault FROM layer_styles ORDER BY styleName").fetchall()
    database.close()
    assert styles == [("classes", 1), ("mine", 0)]


def test_dissolved_areas_are_what_geopandas_dissolves(product):
    first = entries(product)
    relabel(product, (*first[:3], *(replace(entry, merge_into=0) for entry in first[3:])), dissolve=True)
    import geopandas

    found = geopandas.read_file(product.path / "dissolved.gpkg", layer="dissolved")
    objects = product.objects()
    wanted = objects.dissolve("class_id").explode().reset_index()
    assert found.crs == objects.crs
    assert found.is_valid.all()
    # shapely's parts may meet in points alone, as ours do: both are joined along sides only
    assert len(found) == len(wanted)
    one, other = (sorted(zip(f.class_id, shapely.normalize(f.geometry).to_wkb(), strict=True)) for f in (
        found.assign(geometry=shapely.simplify(found.geometry.explode().reset_index(drop=True), 0)),
        wanted.assign(geometry=shapely.simplify(wanted.geometry, 0)),
    ))  # fmt: skip
    assert [pair[0] for pair in one] == [pair[0] for pair in other]
    assert np.sort(found.area) == pytest.approx(np.sort(wanted.area))
    assert all(shapely.equals(shapely.from_wkb(a[1]), shapely.from_wkb(b[1])) for a, b in zip(one, other, strict=True))
    assert found.object_count.sum() == len(objects)
    assert found.area_m2.to_numpy() == pytest.approx(found.area.to_numpy(), rel=1e-3)
    # it would be wrong after other merges
    relabel(product, first)
    assert not (product.path / "dissolved.gpkg").exists()


def test_a_split_moves_one_class_and_merging_the_parts_takes_it_back(product):
    before, fitted = product.objects(), product.objects().class_id.to_numpy()
    split_class(product, 1, 2, seed=3)
    after = product.objects().class_id.to_numpy()
    assert np.array_equal(after[fitted != 1], fitted[fitted != 1])
    assert set(after[fitted == 1]) == {1, K}
    check(product, after.tolist())
    names = [entry.class_name for entry in entries(product)]
    assert names == ["class 0", "class 1 (1)", "class 2", "class 3", "class 4", "class 1 (2)"]
    assert len({entry.colour for entry in entries(product)}) == K + 1
    # the class model carries the split: the same objects get the same classes
    again = ga.label(ga.Store.open(product.path / "work"), ClassModel.load(product.path), product.path.with_name("x"))
    assert again.objects().class_id.tolist() == after.tolist()
    merged = [replace(entry, merge_into=1 if entry.class_id == K else None) for entry in entries(product)]
    relabel(product, merged)
    assert product.objects().class_id.tolist() == before.class_id.tolist()


def test_what_cannot_be_split_is_told(product):
    with pytest.raises(OptionError, match="no class 9; the classes are 0 to 4"):
        split_class(product, 9, 2)
    with pytest.raises(OptionError, match="allowed is 2 and more"):
        split_class(product, 0, 1)
    with pytest.raises(OptionError, match=r"class 0 has .* objects; it cannot be split into 500"):
        split_class(product, 0, 500)
    first = entries(product)
    relabel(product, (*first[:4], replace(first[4], merge_into=0)))
    with pytest.raises(OptionError, match="class 4 is merged into 0"):
        split_class(product, 4, 2)
    unchanged = content(product)
    shutil.rmtree(product.path / "work")
    with pytest.raises(ProductError, match="has no store"):
        split_class(product, 0, 2)
    # names and merges need no store
    relabel(product, entries(product))
    assert content(product) == unchanged
    assert not (product.path / "work").exists()


def test_a_class_that_holds_others_is_not_split(product):
    first = entries(product)
    relabel(product, (*first[:4], replace(first[4], merge_into=0)))
    with pytest.raises(OptionError, match=r"class 0 holds others \(4\), .* --reset"):
        split_class(product, 0, 2)


def test_a_split_tells_the_confidence_that_the_model_has(product):
    split_class(product, 0, 3)
    again = ga.label(product.store(), ClassModel.load(product.path), product.path.with_name("x"))
    assert product.objects().confidence.tolist() == again.objects().confidence.tolist()


def test_another_store_in_its_place_is_noticed(made, product):
    from geoalps.io.store import Store

    path = made.path.parent / "town.tif"
    ga.segment(path, ga.TileGrid((150, 190), 96, 16), PlainSegmenter(), path=product.path / "work", overwrite=True)
    assert Store.open(product.path / "work").grid.size == 96
    with pytest.raises(ProductError, match="is not the store that the product was made from"):
        split_class(product, 0, 2)


def test_a_geopackage_that_is_open_elsewhere_is_left_alone(product):
    import sqlite3

    before, first = content(product), entries(product)
    other = sqlite3.connect(product.path / "labels.gpkg")
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE classes SET class_name = 'edited' WHERE class_id = 0")
    other.commit()
    named = [replace(entry, class_name=f"kind {entry.class_id}") for entry in first]
    with pytest.raises(ProductError, match=r"open in another program \(.*\): save there and close it"):
        relabel(product, named)
    other.close()
    assert product.classes().class_name[0] == "edited"
    assert (product.path / "labels.tif").read_bytes() == before["labels.tif"]
    with sqlite3.connect(product.path / "labels.gpkg") as writing:
        writing.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProductError, match="locked"):
            relabel(product, named)
    writing.close()
    relabel(product, named)
    assert product.classes().class_name.tolist() == [entry.class_name for entry in named]


@pytest.mark.parametrize("files", range(8))
def test_killed_while_its_files_are_moved_it_is_finished_by_whoever_opens_it(product, monkeypatch, files):
    from pathlib import Path

    first = entries(product)
    merged = (*first[:3], *(replace(entry, merge_into=0) for entry in first[3:]))
    moves, original = [], Path.replace

    def move(self, target):
        """Move some files, and then be killed."""
        if self.parent.name == "product.done":
            if len(moves) == files:
                raise KeyboardInterrupt
            moves.append(target)
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", move)
        with pytest.raises(KeyboardInterrupt):
            relabel(product, merged, dissolve=True)
    assert not (product.path / "run.json").exists()
    opened = ga.Product.open(product.path)
    check(opened, opened.objects().fitted_class_id.tolist())
    assert entries(opened) == merged
    assert (product.path / "dissolved.gpkg").exists()
    assert not (product.path / "work" / "product.done").exists()
    relabel(opened, first)
    assert not (product.path / "dissolved.gpkg").exists()


def test_nonsense_changes_nothing(product):
    before, first = content(product), entries(product)
    for wrong in (
        first[:-1],
        (*first[:-1], replace(first[-1], class_id=7)),
        tuple(replace(e, class_name="a") for e in first),
    ):
        with pytest.raises(OptionError):
            relabel(product, wrong)
    assert content(product) == before
    model = json.loads((product.path / "classes.json").read_text())
    (product.path / "classes.json").write_text(json.dumps({**model, "format": 1}))
    with pytest.raises(ProductError, match="format 1, this version reads 2"):
        relabel(product, first)


def test_a_scene_without_objects_can_be_relabelled(tmp_path):
    image = np.zeros((3, 40, 50), np.uint8)
    product = ga.tile_label(write(tmp_path / "no.tif", image), tmp_path / "out", 3, segmenter=PlainSegmenter())
    relabel(product, (), dissolve=True)
    assert (product.labels() == 255).all()
    assert len(product.objects()) == 0
