"""geoalps: pseudo-labels for huge georeferenced scenes.

The flow, one way::

    scene ──▶ segment ──▶ store ──▶ fit_classes ──▶ class model
                            │                            │
                            └────────▶ label ◀───────────┘
                                         │
                                         ▼
                                      product

In one call::

    import geoalps as ga

    product = ga.tile_label("harbour.tif", "out/harbour", n_classes=16)  # path, rasterio dataset or DataArray
    product.objects()                                                    # GeoDataFrame
    product.labels().plot()                                              # DataArray, Dask-backed

and in steps::

    scene = ga.open_scene("harbour.tif", bands=(4, 3, 2))
    store = ga.segment(scene, ga.TileGrid(scene.shape, size=1024, margin=128), segmenter="regions")
    model = ga.fit_classes([store], n_classes=16)
    product = ga.label(store, model, "out/harbour")
    next_product = ga.tile_label("harbour_2026.tif", "out/2026", class_model=model)

Pseudo-classes to a named map (``docs/classes.md``)::

    ga.relabel(product, ga.read_class_table("names.csv", model.classes))
    ga.evaluate(product, "land_cover.gpkg", field="class").to_json()

What a run would do and take, before it is begun::

    ga.plan("huge.tif", segmenter="regions").seconds

Several scenes with the same classes, by four processes, or by the workers of a Dask cluster (``docs/cluster.md``)::

    products = ga.tile_label_scenes(["north.tif", "south.tif"], "out/towns", n_classes=16, workers=4)
    products = ga.tile_label_scenes(["north.tif", "south.tif"], "out/towns", workers="tcp://10.0.0.5:8786")

Names are loaded when they are used: ``import geoalps`` costs nothing and loads no network.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoalps.grid import TileGrid, Window
    from geoalps.io.class_table import ClassEntry, read_class_table
    from geoalps.io.product import Product
    from geoalps.io.scene import Scene, open_scene
    from geoalps.io.store import Store
    from geoalps.io.stretch import Stretch, fit_stretch
    from geoalps.labeling.class_model import ClassModel
    from geoalps.labeling.evaluation import evaluate
    from geoalps.labeling.naming import name_from
    from geoalps.labeling.planning import plan
    from geoalps.labeling.relabelling import relabel, split_class
    from geoalps.labeling.scenes import segment_scenes, tile_label, tile_label_scenes
    from geoalps.labeling.stages import adapt_classes, fit_classes, label, segment, update_classes
    from geoalps.segments import Segments

__version__ = "0.1.0"

_HOMES = {
    "ClassEntry": "io.class_table",
    "ClassModel": "labeling.class_model",
    "Product": "io.product",
    "Scene": "io.scene",
    "Segments": "segments",
    "Store": "io.store",
    "Stretch": "io.stretch",
    "TileGrid": "grid",
    "Window": "grid",
    "adapt_classes": "labeling.stages",
    "evaluate": "labeling.evaluation",
    "fit_classes": "labeling.stages",
    "fit_stretch": "io.stretch",
    "label": "labeling.stages",
    "name_from": "labeling.naming",
    "open_scene": "io.scene",
    "plan": "labeling.planning",
    "read_class_table": "io.class_table",
    "relabel": "labeling.relabelling",
    "segment": "labeling.stages",
    "segment_scenes": "labeling.scenes",
    "split_class": "labeling.relabelling",
    "tile_label": "labeling.scenes",
    "tile_label_scenes": "labeling.scenes",
    "update_classes": "labeling.stages",
}

__all__ = [
    "ClassEntry",
    "ClassModel",
    "Product",
    "Scene",
    "Segments",
    "Store",
    "Stretch",
    "TileGrid",
    "Window",
    "adapt_classes",
    "evaluate",
    "fit_classes",
    "fit_stretch",
    "label",
    "name_from",
    "open_scene",
    "plan",
    "read_class_table",
    "relabel",
    "segment",
    "segment_scenes",
    "split_class",
    "tile_label",
    "tile_label_scenes",
    "update_classes",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"geoalps.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'geoalps' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
