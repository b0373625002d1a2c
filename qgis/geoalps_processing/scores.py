"""What ``geoalps evaluate`` found, as a page and as a few figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

TITLES = {"one_to_one": "one-to-one", "majority": "many-to-one", "by_name": "by name"}
"""Matchings, as geoalps calls them."""
STYLE = """
body { font: 14px/1.45 sans-serif; margin: 2em; color: #1b1b1b; background: #fff; max-width: 70em }
table { border-collapse: collapse; margin: 0 0 1.5em } caption { text-align: left; font-weight: bold; padding: .4em 0 }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #d0d0d0 }
th:first-child, td:first-child { text-align: left }
"""


def figures(found: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that models and scripts ask for: output name -> value, None where it is not defined."""
    one = found["one_to_one"]
    together = {name: found[name] for name in ("NMI", "ARI", "purity")}
    return {"OVERALL_ACCURACY": one["OA"], "MEAN_IOU": one["mIoU"]} | {
        name.upper(): value for name, value in together.items()
    }


def _matchings(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Title -> figures, of the matchings that there are."""
    return {title: found[key] for key, title in TITLES.items() if found.get(key)}


def page(found: Mapping[str, Any]) -> str:
    """A self-contained HTML page with the tables of an evaluation."""
    title = f"{found['product']} against {found['truth']}"
    pixels, uncovered = found["pixels"], found["uncovered"]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Evaluation</h1>\n<p>{escape(title)}<br>"
        f"{pixels:,} pixels scored, {uncovered:.1%} of them without a label.</p>\n"
        f"{_totals(found)}{_classes(found)}{_confusion(found)}</body></html>\n"
    )


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all text is escaped here."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>\n<tr>{top}</tr>\n{body}\n</table>\n"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _totals(found: Mapping[str, Any]) -> str:
    """Means of every matching, and what needs no matching."""
    rows = [
        [title, *(_figure(matching[name]) for name in ("OA", "mIoU", "mAcc"))]
        for title, matching in _matchings(found).items()
    ]
    measures = ", ".join(f"{name} {_figure(found[name])}" for name in ("NMI", "ARI", "purity"))
    together = f"<p>{measures} (no matching needed)</p>\n"
    return _table("Together", ("matching", "overall accuracy", "mean IoU", "mean accuracy"), rows) + together


def _classes(found: Mapping[str, Any]) -> str:
    """IoU, precision and recall of every class in every matching."""
    names, matchings = ("IoU", "precision", "recall"), _matchings(found)
    head = ["class", "pixels", *(f"{title} {name}" for title in matchings for name in names)]
    rows = [
        [entry["name"], f"{entry['pixels']:,}"]
        + [_figure(matching["per_class"][number][name]) for matching in matchings.values() for name in names]
        for number, entry in enumerate(found["classes"])
    ]
    return _table("Classes", head, rows)


def _confusion(found: Mapping[str, Any]) -> str:
    """What the pixels of every cluster are in truth."""
    head = ["cluster", "pixels", *(entry["name"] for entry in found["classes"])]
    rows = [
        [str(cluster["name"]), f"{cluster['pixels']:,}", *(f"{count:,}" for count in row)]
        for cluster, row in zip(found["clusters"], found["table"])  # noqa: B905 - QGIS's Python may be 3.9
    ]
    return _table("Confusion: pixels of each cluster, in truth", head, rows)
