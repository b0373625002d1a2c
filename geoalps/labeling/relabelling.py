"""Relabelling: a finished product with other names, colours, merges and splits, no model run again.

The polygons and ``objects.tif`` stay as they are. The layer ``objects`` keeps the class of every object before merging
in ``fitted_class_id``, so that any merge can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from geoalps.errors import OptionError, ProductError
from geoalps.io.class_table import ClassEntry, write_class_table
from geoalps.io.product import DISSOLVED, REPORT, Product, building_in, publish
from geoalps.io.rasters import write_labels
from geoalps.io.relabelled import read_columns, write_relabelled
from geoalps.io.store import write_json
from geoalps.io.style import label_sides
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.dissolving import write_dissolved
from geoalps.labeling.fitting import split
from geoalps.labeling.labelling import Classified, colour_table, label_values
from geoalps.labeling.objects import stitch_store
from geoalps.labeling.reporting import Finished, class_rows, new_report, not_for_its_page, renamed_report
from geoalps.progress import Progress, Silence

KEPT = ("objects.tif",)
"""Files of a product that no class changes."""


def relabel(
    product: Product | str | Path,
    entries: Sequence[ClassEntry],
    *,
    dissolve: bool = False,
    progress: Progress | None = None,
) -> Product:
    """Give the classes of a product other names and colours, and merge some into others; any of it can be taken back.

    Rewritten are ``labels.tif``, columns, tables and style of ``labels.gpkg``, ``classes.csv``, the class model, and
    ``report.html``.

    Args:
        product: or its directory.
        entries: one a class, by class id, as from :func:`geoalps.io.class_table.read_class_table`.
        dissolve: also write ``dissolved.gpkg``, in which neighbouring objects of one class are one polygon; without it,
            one that is there goes, since it is no longer true.
        progress: hears of the files.

    Raises:
        OptionError: the entries make no sense.
        ProductError: there is no product, or it cannot be written.
    """
    product = product if isinstance(product, Product) else Product.open(product)

    def change() -> tuple[ClassModel, None]:
        """The same centres with these entries."""
        return ClassModel.load(product.path).with_classes(entries), None

    return _rewrite(product, change, dissolve, progress)


def split_class(
    product: Product | str | Path,
    class_id: int,
    n_classes: int,
    *,
    seed: int = 0,
    dissolve: bool = False,
    progress: Progress | None = None,
) -> Product:
    """Take one class of a product apart: its objects are clustered among themselves, no other object changes class.

    The commonest part keeps the class's number and colour, the others are numbered after all classes there are. Merging
    the parts takes it back.

    Args:
        product: or its directory; its store (``work/``) must be there.
        class_id: the class.
        n_classes: parts, at least 2.
        seed: of the random numbers.
        dissolve: see :func:`relabel`.
        progress: hears of the files.

    Raises:
        OptionError: there is no such class, it is merged into another, or too few of its objects differ.
        ProductError: there is no product, or its store is gone.
    """
    product = (product if isinstance(product, Product) else Product.open(product)).need_objects()
    if n_classes < 2:
        raise OptionError(f"a class is to be split into {n_classes}; allowed is 2 and more")
    store = product.store()

    def change() -> tuple[ClassModel, Classified]:
        """The model with the class split, and every object by it."""
        before = ClassModel.load(product.path)
        _check_standing(before, class_id)
        model = split(before, class_id, n_classes, store, seed, progress)
        return model, Classified.of(store, stitch_store(store), model)

    return _rewrite(product, change, dissolve, progress)


def _check_standing(model: ClassModel, class_id: int) -> None:
    if not 0 <= class_id < len(model):
        raise OptionError(f"there is no class {class_id}; the classes are 0 to {len(model) - 1}")
    into = model.classes[class_id].merge_into
    if into is not None:
        raise OptionError(f"class {class_id} is merged into {into}; take that back first, or split {into}")
    others = [entry.class_id for entry in model.classes if entry.merge_into == class_id]
    if others:
        raise OptionError(
            f"class {class_id} holds others ({', '.join(map(str, others))}), which a split would leave whole; take "
            "these merges back first (geoalps relabel --reset), and split one by one"
        )


def _rewrite(
    product: Product,
    change: Callable[[], tuple[ClassModel, Classified | None]],
    dissolve: bool,
    progress: Progress | None,
) -> Product:
    """Write all files of a product that a class model shapes, and put them in place together.

    Args:
        product: as it is.
        change: gives the class model, and the class of every object by it; None is as the product says. Called once
            nobody else can write to the product.
        dissolve: see :func:`relabel`.
        progress: hears of the files.
    """
    folder, progress = product.path, progress or Silence()
    with building_in(folder, overwrite=True) as building:
        model, classified = change()
        run = product.run()
        progress.start("relabel", 5 if dissolve else 4)
        ids, before, area = read_columns(folder / "labels.gpkg")
        fitted = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
        fitted[ids] = before if classified is None else classified.fitted[ids]
        if int(fitted.max(initial=0)) >= max(len(model), 1):
            raise ProductError(f"{folder} has objects of classes that its class model lacks; make the product again")
        rows = class_rows(model, fitted[ids], area)
        anew = None if classified is None else (classified.fitted, classified.confidence)
        write_relabelled(folder / "labels.gpkg", building / "labels.gpkg", model.merged, rows, anew)
        progress.advance()
        values = label_values(fitted, model)
        write_labels(building / "labels.tif", folder / "objects.tif", values, colour_table(model, int(values[0])))
        for name, text in label_sides(rows).items():
            (building / name).write_text(text, encoding="utf-8")
        progress.advance()
        if dissolve:
            write_dissolved(building / DISSOLVED, folder / "objects.tif", values, rows, run)
            progress.advance()
        model.save(building)
        write_class_table(building / "classes.csv", model.classes)
        run = {**run, "n_classes": len(model)}
        finished = Finished(
            run, model, tuple(rows), ids, fitted[ids], area, building / "labels.tif", folder / "objects.tif"
        )
        with not_for_its_page(folder):
            if classified is None:
                renamed_report(building / REPORT, folder / REPORT, finished, product)
            else:
                new_report(building / REPORT, finished, product.store(), None)
        progress.advance()
        write_json(building / "run.json", run)
        publish(building, folder, KEPT)
        progress.advance()
    return Product(folder)
