"""Time and peak memory of the main job at growing sizes, and of other classes of a stored scene.

python benchmarks/scaling.py --oracles ORACLES [--mpx 16 64 256 1024] [--workers N] [--work DIRECTORY]

A made scene of 4096 x 4096 pixels is written as a COG; virtual rasters repeat it to the larger sizes. The peak is that
of the process tree, by `peak_memory.py`, which imports nothing of geoalps. Seconds are divided by megapixels; cpu
seconds hold where the machine is shared. One row is printed after each run, so that a long series can be cut short.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import rasterio
from rasterio.shutil import copy

SIDE = 4096
BAND = '<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>{sources}</VRTRasterBand>'
SOURCE = (
    "<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>{band}</SourceBand>"
    '<SrcRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>'
    '<DstRect xOff="{col}" yOff="{row}" xSize="{side}" ySize="{side}"/></SimpleSource>'
)


def made_cog(work: Path) -> Path:
    """The made scene as a cloud-optimised GeoTIFF."""
    cog = work / "cog.tif"
    if not cog.exists():
        made = work / "made.tif"
        command = f"-m geoalps sample {made} --size {SIDE} --seed 5 --overwrite"
        subprocess.run([sys.executable, *command.split()], check=True, capture_output=True)
        copy(made, cog, driver="COG", compress="DEFLATE", blocksize=512)
    return cog


def repeated(cog: Path, times: int) -> Path:
    """A virtual raster of times x times copies."""
    with rasterio.open(cog) as file:
        place, crs = file.transform, file.crs.to_wkt().replace('"', "&quot;")
    at = [(row * SIDE, col * SIDE) for row in range(times) for col in range(times)]
    bands = ""
    for band, colour in enumerate(("Red", "Green", "Blue"), 1):
        sources = (SOURCE.format(path=cog.resolve(), band=band, side=SIDE, row=row, col=col) for row, col in at)
        bands += BAND.format(band=band, colour=colour, sources="".join(sources))
    path = cog.with_name(f"made_{times * times * 16}.vrt")
    numbers = ", ".join(map(str, place.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{SIDE * times}" rasterYSize="{SIDE * times}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{numbers}</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def measured(oracles: Path, *arguments: object) -> dict:
    """The JSON line of peak_memory.py for one geoalps command."""
    script = [sys.executable, str(oracles / "peak_memory.py"), "--", sys.executable, "-m", "geoalps", "-q"]
    done = subprocess.run([*script, *map(str, arguments)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracles", type=Path, required=True)
    parser.add_argument("--mpx", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--workers", type=int, help="worker processes; threads without")
    parser.add_argument("--work", type=Path, help="keep the scenes and products here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(exist_ok=True)
        cog = made_cog(work)
        who = ["--workers", given.workers] if given.workers else []
        print("| Mpx | run | seconds | s/Mpx | cpu s | cpu s/Mpx | peak MB | objects |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for mpx in given.mpx:
            scene, out = repeated(cog, round((mpx / 16) ** 0.5)), work / f"labels_{mpx}"
            shutil.rmtree(out, ignore_errors=True)
            for name, options in (("first", ["-k", 16]), ("other k", ["-k", 12, "--overwrite"])):
                cost = measured(given.oracles, "tile-label", scene, "-o", out, *who, *options)
                run = json.loads((out / "run.json").read_text())
                wall, cpu, size = cost["wall_s"], cost["cpu_s"], SIDE * SIDE * mpx / 16e6
                figures = f"{wall:.0f} | {wall / size:.2f} | {cpu:.0f} | {cpu / size:.2f} | {cost['peak_mb']:.0f}"
                print(f"| {size:.0f} | {name} | {figures} | {run['counts']['objects']} |", flush=True)
                print(f"    {run['seconds']}", file=sys.stderr, flush=True)
            if not given.work:
                shutil.rmtree(out)


if __name__ == "__main__":
    main()
