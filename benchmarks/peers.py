"""samgeo (segment-geospatial) beside geoalps: the same scene, the same weights, each as its documentation says.

python benchmarks/peers.py --peer PYTHON [--scene SCENE] [--checkpoint FILE] [--device cpu] [--rounds 1]

PYTHON is that of an environment with segment-geospatial in it. Without --checkpoint weights are random, with predicted
IoUs of which half pass (benchmarks/sam.py), and a lower stability is asked of both: samgeo ends with an error where
there is no mask. What is compared is a whole program each, from the scene's file to masks
in a file: samgeo's `generate` writes a raster of masks; `geoalps tile-label` gives classes, outlines and a style too.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from sam import PASSING, calibrate, random_sam, sharpen

from geoalps.io.sample import write_sample
from geoalps.sample import SampleScene

OFFICIAL = "sam_vit_b_01ec64.pth"
"""The name under which samgeo looks for ViT-B."""
PEER = """
import sys
from samgeo import SamGeo
scene, out, weights, device = sys.argv[1:]
options = {"stability_score_thresh": 0.5, "stability_score_offset": 0.5}
sam = SamGeo(model_type="vit_b", checkpoint_dir=weights, device=device, sam_kwargs=options)
sam.generate(scene, out, batch=False, foreground=True)
"""


def timed(command: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds, and the highest resident memory in MB of any child so far."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu, after.ru_maxrss / 1e3


def main() -> None:
    """Parse, run by turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="python with segment-geospatial")
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        scene, weights = given.scene or work / "made.tif", work / OFFICIAL
        if given.scene is None:
            write_sample(scene, SampleScene((1024, 1024), seed=1))
        if given.checkpoint:
            weights.symlink_to(given.checkpoint.absolute())
        else:
            sam = random_sam("vit_b")
            with rasterio.open(scene) as file:
                image = np.moveaxis(file.read([1, 2, 3], window=((0, 1024), (0, 1024))), 0, -1)
            calibrate(sam, np.ascontiguousarray(image), PASSING)
            sharpen(sam)
            torch.save(sam.state_dict(), weights)
        # geoalps first: the memory told is the highest of all children until then
        ours = ["tile-label", str(scene), "--segmenter", "sam", "--checkpoint", str(weights), "--device", given.device]
        ours += ["--option", "stability_score_thresh=0.5", "--option", "stability_score_offset=0.5"]
        ours += ["-k", "1", "-o", str(work / "out"), "--overwrite"]
        methods = {
            "geoalps tile-label": [sys.executable, "-m", "geoalps", *ours],
            "samgeo generate": [given.peer, "-c", PEER, str(scene), str(work / "masks.tif"), str(work), given.device],
        }
        print("| program | s | cpu s | peak MB |", "| --- | --- | --- | --- |", sep="\n")
        for _ in range(given.rounds):
            for method, command in methods.items():
                seconds, cpu, memory = timed(command)
                print(f"| {method} | {seconds:.0f} | {cpu:.0f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
