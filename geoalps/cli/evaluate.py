"""``geoalps evaluate``: a product against the truth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geoalps.cli import options as opt

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from geoalps.labeling.evaluation import Evaluation, ObjectScores

WIDEST = 25
"""Classes up to which a confusion table can be read."""
WIDTH = 200
"""Columns of a table, whatever the terminal's: it wraps lines, where rich would cut figures in two."""
TITLES = {"one_to_one": "one-to-one", "majority": "many-to-one", "by_name": "by name"}
SHORT = {"one_to_one": "1:1", "majority": "n:1", "by_name": "name"}


@click.command("evaluate")
@click.argument("product", type=click.Path(path_type=Path))
@click.argument("truth")
@click.option("--field", help="Field of the features that holds their class. [default: class]")
@click.option("--layer", help="Layer of a file with several.")
@click.option("--ignore", multiple=True, metavar="V", help="Class of the truth that is not scored; repeatable.")
@click.option("--background", metavar="NAME", help="Class of all that lies outside of the features.")
@click.option("--instances", help="Raster of instance numbers (0 none), beside a raster of classes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON to a file, too.")
@click.pass_context
def command(ctx: click.Context, /, product: Path, truth: str, as_json: bool, output: Path | None, **asked: Any) -> None:
    """Hold PRODUCT against TRUTH: a raster of classes, or a file of polygons or points.

    The truth may have another reference system, resolution and extent. Scored is where it is known: not on nodata, and
    not outside of features. Pixels without a label are wrong. Polygons, and --instances, are outlines for the objects.

    \b
    one-to-one   every class gets one cluster (Hungarian); falls with the number of clusters
    many-to-one  every cluster is called by its commonest class; rises with it
    by name      classes of the product that are named as those of the truth

    \b
    Examples:
      geoalps evaluate ortho_labels/ land_cover.tif --ignore 0
      geoalps evaluate ortho_labels/ samples.gpkg --field class
      geoalps evaluate ortho_labels/ buildings.geojson --background other --json
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.io.store import write_json
    from geoalps.labeling.evaluation import evaluate
    from geoalps.progress import progress_for

    with progress_for(opt.console(ctx)) as progress:
        evaluation = evaluate(product, truth, **asked, progress=progress)
    if as_json:
        click.echo(json.dumps(evaluation.to_json(), indent=2, allow_nan=False))
    else:
        show(evaluation, table_console())
    if output is not None:  # last, so that no figure is lost when it cannot be written
        write_json(output, evaluation.to_json())


def table_console() -> Console:
    """Where tables go: stdout."""
    from rich.console import Console

    return Console(width=WIDTH, soft_wrap=True, markup=False, emoji=False, highlight=False)


def new_table(title: str, *columns: str, gap: int = 3) -> Table:
    """A table whose first column is text and whose others are figures, 1 or 3 spaces apart."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    look: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "box": SIMPLE_HEAD, "show_edge": False}
    table = Table(title=title, pad_edge=False, padding=(0, gap // 2), **look)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    return table


def show(evaluation: Evaluation, console: Console) -> None:
    """Print all tables, and what to know when reading them."""
    console.print(f"{evaluation.product} against {evaluation.truth}")
    console.print(
        f"{evaluation.pixels:,} pixels scored, {evaluation.uncovered:.1%} of them without a label; "
        f"{_clusters(evaluation)} clusters, {len(evaluation.classes)} {_classes(len(evaluation.classes))}\n"
    )
    for table in (_per_class(evaluation), _totals(evaluation)):
        console.print(table)
        console.print()
    console.print(
        f"NMI {evaluation.nmi:.3f}   ARI {evaluation.ari:.3f}   purity {evaluation.purity:.3f}   (no matching needed)\n"
    )
    for line in _notes(evaluation):
        console.print(line + "\n")
    if len(evaluation.classes) <= WIDEST:
        console.print(_confusion(evaluation))
        console.print()
    else:
        console.print(f"The confusion table has {len(evaluation.classes)} columns; --json has it.\n")
    if evaluation.objects:
        console.print(_objects(evaluation.objects))
        console.print()
        console.print(_of_objects(evaluation.objects))


def _clusters(evaluation: Evaluation) -> int:
    """Classes of the product with scored pixels."""
    return sum(cluster.class_id is not None for cluster in evaluation.clusters)


def _classes(count: int) -> str:
    """The word for so many."""
    return "class" if count == 1 else "classes"


def _notes(evaluation: Evaluation) -> list[str]:
    """What to know when reading these figures."""
    notes = []
    clusters, classes = _clusters(evaluation), len(evaluation.classes)
    if clusters > classes:
        notes.append(
            f"One-to-one cannot reach 1 here: {clusters} clusters for {classes} {_classes(classes)} leave "
            f"{clusters - classes} wrong by rule. Compare it at the same number of clusters only."
        )
    if classes == 1:
        notes.append("The truth has one class: only its recall says something. Is all else a class (--background)?")
    if evaluation.objects is None:
        notes.append("No outlines in the truth, so objects are not judged; polygons or --instances have some.")
    return notes


def _figure(value: float) -> str:
    """Three digits; a dash for what is not defined."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _per_class(evaluation: Evaluation) -> Table:
    """IoU, precision and recall of every class in every matching."""
    titles = [f"{SHORT[name]}\n{figure}" for name in evaluation.matchings for figure in (" IoU", "prec.", "rec.")]
    table = new_table("Classes: IoU, precision and recall", "\nclass", "\npixels", "\nshare", *titles, gap=1)
    for number, entry in enumerate(evaluation.classes):
        found = [
            _figure(values[number])
            for matching in evaluation.matchings.values()
            for values in (matching.iou, matching.precision, matching.recall)
        ]
        table.add_row(entry.name, f"{entry.pixels:,}", f"{entry.pixels / evaluation.pixels:.1%}", *found)
    return table


def _totals(evaluation: Evaluation) -> Table:
    """OA, mIoU and mAcc of every matching."""
    table = new_table("Together", "matching", "OA", "mIoU", "mAcc")
    for name, found in evaluation.matchings.items():
        figures = found.overall_accuracy, found.mean_iou, found.mean_accuracy
        table.add_row(f"{SHORT[name]:<4}  {TITLES[name]}", *map(_figure, figures))
    return table


def _confusion(evaluation: Evaluation) -> Table:
    """What the pixels of every cluster are in truth, and which class it stands for."""
    matchings = evaluation.matchings
    names = [entry.name for entry in evaluation.classes]
    title = "Confusion: of each cluster, in truth"
    table = new_table(title, "cluster", "pixels", *names, *(TITLES[name] for name in matchings))
    for row, cluster in enumerate(evaluation.clusters):
        shares = [f"{count / cluster.pixels:.1%}" if count else "." for count in evaluation.table[row]]
        columns = [int(found.match[row]) for found in matchings.values()]
        stands = [names[column] if column >= 0 else "-" for column in columns]
        table.add_row(_titled(cluster.class_id, cluster.name), f"{cluster.pixels:,}", *shares, *stands)
    return table


def _titled(class_id: int | None, name: str) -> str:
    """``3 water``; the name alone where it says the number."""
    return name if class_id is None or name == f"class {class_id}" else f"{class_id} {name}"


def _objects(found: ObjectScores) -> Table:
    """Recall of all instances and by size."""
    columns = ("instances", "recall at IoU .5", "at .75", "mean best IoU", "union IoU")
    table = new_table("Objects against true outlines", "size in pixels", *columns)
    for name, recall in {"all": found.recall, **found.by_size}.items():
        figures = recall.recall50, recall.recall75, recall.mean_best_iou, recall.union_iou
        table.add_row(name, f"{recall.instances:,}", *map(_figure, figures))
    return table


def _of_objects(found: ObjectScores) -> str:
    """What is not by size."""
    from geoalps.labeling.evaluation import RADIUS

    figures = found.matches
    return (
        f"Borders within {RADIUS} pixels: {_figure(found.boundary_recall)} of the true ones "
        f"({_figure(found.boundary_chance)} by chance).   {figures.objects:,} objects, "
        f"{figures.objects / figures.pixels * 1e6:,.0f} a megapixel, cover {figures.covered / figures.pixels:.1%}.\n"
        "Union IoU: all objects that lie mostly in the instance, as if merged; low where objects leak over the border."
    )
