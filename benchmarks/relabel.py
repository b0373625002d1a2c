"""What renaming and merging cost beside making the product, and whether they can be taken back.

python benchmarks/relabel.py [--side 4096]

A made scene is labelled with many small objects; then half of its classes get names and are merged, all as processes;
then that is taken back. Wall seconds of each, and whether the product holds what it held.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from geoalps.io.sample import write_sample
from geoalps.sample import SampleScene

RASTERS = ("labels.tif", "objects.tif")
COLUMNS = "object_id, class_id, class_name, score, confidence, area_m2, fitted_class_id, hex(geom)"


def timed(*args: object) -> float:
    """Wall seconds of a command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "geoalps", "-q", *map(str, args)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def content(out: Path) -> str:
    """A digest of the rasters' bytes and of all rows of the GeoPackage."""
    digest = hashlib.sha256()
    for name in (*RASTERS, "classes.csv", "classes.json", "classes.npz"):
        digest.update((out / name).read_bytes())
    with closing(sqlite3.connect(out / "labels.gpkg")) as database:
        for query in (f"SELECT {COLUMNS} FROM objects ORDER BY fid", "SELECT * FROM classes ORDER BY class_id"):  # noqa: S608
            for row in database.execute(query):
                digest.update(repr(row).encode())
    return digest.hexdigest()


def main() -> None:
    """Parse, run, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scene, out, names = (Path(name) / part for part in ("scene.tif", "out", "names.csv"))
        write_sample(scene, SampleScene((given.side, given.side)), truth=False)
        fine = (
            "--option",
            "regions_per_mpx=7000",
            "--option",
            "smallest=12",
            "--option",
            "choice=cut",
            "--min-area",
            0,
        )
        whole = timed("tile-label", scene, "-o", out, *fine)
        with closing(sqlite3.connect(out / "labels.gpkg")) as database:
            ((count,),) = database.execute("SELECT count(*) FROM objects").fetchall()
        before, first = content(out), (out / "classes.csv").read_bytes()
        rows = [f"{i},kind {i},,{0 if i in (3, 5, 7) else ''}" for i in range(8)]
        names.write_text("\n".join(["class_id,name,colour,merge_into", *rows]), encoding="utf-8")
        there = timed("relabel", out, names)
        changed = content(out) != before
        names.write_bytes(first)
        back = timed("relabel", out, names)
        dissolved = timed("relabel", out, "--dissolve")
        print(f"{count} objects, {given.side**2 / 1e6:.1f} Mpx\n")
        print("| | s | share of tile-label |\n| --- | --- | --- |")
        told = {"tile-label": whole, "relabel": there, "and back": back, "relabel --dissolve": dissolved}
        print("\n".join(f"| {title} | {seconds:.1f} | {seconds / whole:.3f} |" for title, seconds in told.items()))
        print(f"\nchanged: {changed}; taken back to the bit: {content(out) == before}")


if __name__ == "__main__":
    main()
