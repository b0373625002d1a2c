"""Made aerial scenes with truth, of any size, for trying things out where there is no data.

A country without end is hashed from a seed (:mod:`plan`), each of its cells is filled by the kind of district it holds
(:mod:`districts`), and any window can be drawn (:mod:`canvas`, :mod:`draw`) and lit (:mod:`light`) by itself.

    >>> scene = SampleScene((2048, 2048), seed=3)
    >>> part = scene.read(Window(0, 0, 256, 512))
    >>> part.rgb.shape, part.classes.dtype, part.instances.dtype
    ((256, 512, 3), dtype('uint8'), dtype('uint32'))

Chips are another thing: samples of fixed size for training, of many kinds of places and sensors (:mod:`chips`).
"""

from geoalps.grid import Window
from geoalps.sample.chips import CHIP_CLASSES, Chip, made_chip
from geoalps.sample.scene import SampleScene, SampleWindow
from geoalps.sample.things import CLASSES

__all__ = ["CHIP_CLASSES", "CLASSES", "Chip", "SampleScene", "SampleWindow", "Window", "made_chip"]
