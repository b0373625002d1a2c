"""GeoParquet, read back by geopandas and looked at by pyarrow."""

import json
import shutil

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from geoalps.errors import ProductError
from geoalps.io.exports import write_geoparquet
from geoalps.io.product import Product


def geo(path):
    return json.loads(pq.read_metadata(path).metadata[b"geo"])


def test_geopandas_reads_the_objects_of_the_product(anywhere, tmp_path):
    path = write_geoparquet(anywhere.product, tmp_path / "objects.parquet")
    objects = anywhere.product.objects()
    found = geopandas.read_parquet(path)
    assert len(found) > 10
    assert_geodataframe_equal(found, objects)
    assert found.crs == objects.crs
    assert (shapely.to_wkb(found.geometry) == shapely.to_wkb(objects.geometry)).all()


def test_metadata_are_those_of_geoparquet(anywhere, tmp_path):
    path = write_geoparquet(anywhere.product, tmp_path / "objects.parquet")
    content, objects = geo(path), anywhere.product.objects()
    assert (content["version"], content["primary_column"]) == ("1.1.0", "geometry")
    column = content["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["MultiPolygon"])
    assert column["bbox"] == objects.total_bounds.tolist()
    if anywhere.product.run()["scene"]["crs"] is None:
        assert column["crs"] is None
    else:
        assert column["crs"]["type"] in ("ProjectedCRS", "GeographicCRS")


def test_boxes_find_what_lies_in_a_place(finished, tmp_path):
    path = write_geoparquet(finished.product, tmp_path / "objects.parquet", rows=10)
    objects = finished.product.objects()
    west, south, east, north = objects.total_bounds
    box = (west, south, (west + east) / 2, (south + north) / 2)
    found = geopandas.read_parquet(path, bbox=box)
    bounds = objects.bounds
    meets = (bounds.minx <= box[2]) & (bounds.miny <= box[3])
    assert 10 < len(found) < len(objects)
    assert sorted(found.object_id) == sorted(objects.object_id[meets])


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_batches_leave_no_trace(finished, tmp_path, rows):
    path = write_geoparquet(finished.product, tmp_path / "objects.parquet", rows=rows)
    objects = finished.product.objects()
    assert pq.ParquetFile(path).num_row_groups == -(-len(objects) // rows)
    assert_geodataframe_equal(geopandas.read_parquet(path), objects)
    assert geo(path)["columns"]["geometry"]["bbox"] == objects.total_bounds.tolist()


def test_a_product_without_objects_is_a_table_without_rows(empty, tmp_path):
    path = write_geoparquet(empty.product, tmp_path / "objects.parquet")
    found = geopandas.read_parquet(path)
    assert_geodataframe_equal(found, empty.product.objects(), check_dtype=False, check_geom_type=False)
    assert "bbox" not in geo(path)["columns"]["geometry"]


def test_what_is_there_stays_unless_it_is_to_be_replaced(finished, tmp_path):
    path = tmp_path / "new" / "objects.parquet"
    write_geoparquet(finished.product, path)
    path.write_bytes(b"mine")
    with pytest.raises(ProductError, match=r"objects\.parquet exists; use --overwrite"):
        write_geoparquet(finished.product, path)
    assert path.read_bytes() == b"mine"
    write_geoparquet(finished.product, path, overwrite=True)
    assert len(geopandas.read_parquet(path)) == len(finished.product.objects())
    assert [left.name for left in path.parent.iterdir()] == ["objects.parquet"]


def test_the_product_itself_is_never_replaced(finished):
    before = (finished.product.path / "labels.gpkg").read_bytes()
    with pytest.raises(ProductError, match="is part of the product"):
        write_geoparquet(finished.product, finished.product.path / "labels.gpkg", overwrite=True)
    with pytest.raises(ProductError, match="is a directory"):
        write_geoparquet(finished.product, finished.product.path, overwrite=True)
    assert (finished.product.path / "labels.gpkg").read_bytes() == before


@pytest.mark.parametrize("damage", [lambda data: data[:30_000], lambda data: b"no database" * 100])
def test_a_damaged_geopackage_leaves_nothing_behind(finished, tmp_path, damage):
    folder = shutil.copytree(finished.product.path, tmp_path / "product", ignore=shutil.ignore_patterns("work"))
    content = (folder / "labels.gpkg").read_bytes()
    (folder / "labels.gpkg").write_bytes(damage(content))
    with pytest.raises(ProductError, match=r"labels\.gpkg"):
        write_geoparquet(Product(folder), tmp_path / "new" / "objects.parquet")
    assert not (tmp_path / "new").exists()


def test_memory_holds_a_batch_at_a_time(finished, tmp_path, monkeypatch):
    seen = []
    bounds = shapely.bounds
    monkeypatch.setattr(shapely, "bounds", lambda some: seen.append(len(some)) or bounds(some))
    write_geoparquet(finished.product, tmp_path / "objects.parquet", rows=9)
    assert max(seen) == 9
    assert np.sum(seen) == len(finished.product.objects())
