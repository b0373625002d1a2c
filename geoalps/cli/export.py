"""``geoalps export``: a finished product in the formats of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt

CHIPS = ("scene", "chip_size", "split", "block_chips", "gap", "min_cover", "seed")
"""Options of all that is written as chips."""
TAKES: Mapping[str, tuple[str, ...]] = {
    "geoparquet": (),
    "coco": (*CHIPS, "min_visible"),
    "mmseg": CHIPS,
    "sgo": (*CHIPS, "most", "min_pixels"),
    "stac": ("item_id", "when"),
}
"""Format -> the options that it takes besides --output and --overwrite."""


class Shares(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Comma-separated numbers: ``0.7,0.15,0.15``."""

    name = "TRAIN,VAL[,TEST]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """The numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers like 0.7,0.15,0.15", param, ctx)


@click.command("export")
@click.argument("product", type=click.Path(file_okay=False, path_type=Path))
@click.option("-f", "--format", "form", type=click.Choice(list(TAKES)), required=True, help="What to write.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The file (geoparquet, stac) or the directory to make.",
)
@click.option("--scene", help="Where the scene is, if not where it was (coco, mmseg, sgo as chips).")
@click.option(
    "--chip-size", type=int, help="Pixels of a chip's side (coco, mmseg: default 512; sgo: without it, whole rasters)."
)
@click.option(
    "--split",
    type=Shares(),
    help="Shares of the blocks of chips (coco, sgo: default none; mmseg: default 0.7,0.15,0.15).",
)
@click.option("--block-chips", type=int, help="Chips on a side of a block, which one split gets whole. [default: 4]")
@click.option("--gap", type=int, help="Leave out chips this close to a block of another split, in chips. [default: 0]")
@click.option("--min-cover", type=float, help="Leave out chips of which less is labelled, a share. [default: 0.1]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of the draw of blocks. [default: 0]")
@click.option(
    "--min-visible",
    type=float,
    help="Leave out objects of which no more than this share is in the chip (coco). [default: 0.2]",
)
@click.option("--most", type=int, help="Objects of a chip, the largest (sgo as chips). [default: 50]")
@click.option("--min-pixels", type=int, help="Leave out smaller objects (sgo). [default: 50]")
@click.option("--id", "item_id", help="The item's id (stac). [default: name of the product]")
@click.option(
    "--when",
    help="When the scene was taken: 2026-03-01T10:15:00Z, a date, or BEGIN/END (stac). [default: when the product was "
    "finished]",
)
@click.option("--overwrite", is_flag=True, help="Replace a file or an export that is there.")
@click.pass_context
def command(ctx: click.Context, /, product: Path, form: str, output: Path, overwrite: bool, **given: Any) -> None:
    """Write PRODUCT in the format of other software.

    \b
    geoparquet  objects as one table: geopandas, DuckDB, QGIS
    coco        chips, and objects as run-length encoded masks: pycocotools, Detectron2, mmdetection
    mmseg       chips and label maps, 255 uncovered, split by geographic blocks: mmsegmentation
    sgo         objects and their boundaries (SGO, SGB) as rasters, or as chips with --chip-size
    stac        an item for catalogues, with relative paths

    \b
    Examples:
      geoalps export ortho_labels/ -f geoparquet -o objects.parquet
      geoalps export ortho_labels/ -f coco -o coco/ --chip-size 640 --split 0.8,0.2
      geoalps export ortho_labels/ -f mmseg -o mmseg/ --split 0.7,0.15,0.15 --block-chips 4 --gap 1
      geoalps export ortho_labels/ -f sgo -o sgo/
      geoalps export ortho_labels/ -f sgo -o sgo_chips/ --chip-size 512 --scene ortho.tif
      geoalps export ortho_labels/ -f stac -o ortho_labels/item.json --when 2026-03-01
    """  # noqa: D301 - click wants the backspace itself
    asked = {name: value for name, value in given.items() if value is not None}
    _check_options(ctx, form, asked)
    from geoalps.io.product import Product
    from geoalps.progress import progress_for

    with progress_for(opt.console(ctx)) as progress:
        write = _writer(form, asked)
        made = write(Product.open(product), output, overwrite=overwrite, progress=progress, **asked)
    click.echo(str(made))


def _check_options(ctx: click.Context, form: str, asked: Mapping[str, Any]) -> None:
    """Raise a UsageError for an option that the format, or its kind without chips, does not take."""
    flags = {param.name: param.opts[-1] for param in ctx.command.params}
    for name in asked:
        if name not in TAKES[form]:
            takers = [taker for taker, names in TAKES.items() if name in names]
            raise click.UsageError(f"{flags[name]} is an option of {', '.join(takers)}; leave it out for {form}")
        if form == "sgo" and name != "min_pixels" and "chip_size" not in asked:
            raise click.UsageError(f"{flags[name]} is for chips; give --chip-size too, or leave it out")
    needs_split = [flags[name] for name in ("block_chips", "gap", "seed") if name in asked]
    if needs_split and form != "mmseg" and "split" not in asked:
        raise click.UsageError(f"{needs_split[0]} is about splits; give --split too, or leave it out")


def _writer(form: str, asked: Mapping[str, Any]) -> Callable[..., Path]:
    """The function that writes a format."""
    from geoalps.io import exports

    if form == "sgo":
        return exports.write_constraint_chips if "chip_size" in asked else exports.write_constraints
    writers: dict[str, Callable[..., Path]] = {
        "geoparquet": exports.write_geoparquet,
        "coco": exports.write_coco,
        "mmseg": exports.write_mmseg,
        "stac": exports.write_stac,
    }
    return writers[form]
