"""``geoalps:tile_label``: a scene to a product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputFolder,
    QgsProcessingOutputHtml,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from . import command_line
from .algorithm import GeoalpsAlgorithm, run_geoalps
from .layers import EditedError, Held, load_later
from .product import RASTER, REPORT, default_output, objects_source

WHOLE = QgsProcessingParameterNumber.Integer
REAL = QgsProcessingParameterNumber.Double
FROM_FOLDER = QgsProcessingParameterFile.Folder


class TileLabel(GeoalpsAlgorithm):
    """The main job."""

    NAME = "tile_label"
    TITLE = "Tile and label a scene"
    TAGS = ("segmentation", "classification", "clustering", "objects", "segment anything", "pseudo-labels")
    HELP = (
        "Turns a scene into a map of pseudo-classes: every object outlined once, the same kind of object given the "
        "same class everywhere.\n\n"
        "The result is a folder, the product: labels.gpkg (polygons, loaded with the colours of the classes), "
        "labels.tif (the classes as a raster on the scene's grid), objects.tif (object ids), classes.csv (names and "
        "colours, for geoalps:relabel), the class model and a report.\n\n"
        "geoalps runs as a program of its own, in the environment that Settings > Options > Processing > Providers > "
        "geoalps names. After cancelling, run it again with the same settings: it goes on where it stopped. Other "
        "classes of the same objects (other number, other class model, with Replace what is there) take seconds."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802 - QGIS's name
        """Parameters and outputs."""
        self.add(QgsProcessingParameterRasterLayer("SCENE", "Scene"), "Georeferenced image that GDAL reads.")
        self._add_classes()
        self._add_segmenter()
        self._add_tiles()
        self._add_reading()
        self._add_outlines()
        self._add_running()
        self.add(
            QgsProcessingParameterString("OPTIONS", "Further options", optional=True),
            "As in a terminal, such as: --percentiles 1 99 --option regions_per_mpx=500. geoalps tile-label --help "
            "lists all.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterBoolean("LOAD_LABELS", "Load the raster of classes, too", False),
            "labels.tif beside the polygons; for large scenes it draws faster.",
        )
        self.add(
            QgsProcessingParameterFolderDestination("OUTPUT", "Product folder", None, True, False),
            "Folder to make. Left out: SCENE_labels beside the scene.",
        )
        self.addOutput(QgsProcessingOutputVectorLayer("OBJECTS", "Objects"))
        self.addOutput(QgsProcessingOutputRasterLayer("LABELS", "Classes"))
        self.addOutput(QgsProcessingOutputFolder("FOLDER", "Product"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def _add_classes(self) -> None:
        """Which classes."""
        self.add(
            QgsProcessingParameterString("CLASSES", "Number of classes", "16"),
            "A number, or auto: as many as there seem to be. Not used with a class model.",
        )
        self.add(
            QgsProcessingParameterFile("CLASS_MODEL", "Classes of another product", FROM_FOLDER, optional=True),
            "Folder of a product or class model whose classes this scene gets: same numbers, names and colours.",
        )
        self.add(
            QgsProcessingParameterBoolean("ADAPT", "Adapt these classes to the scene", False),
            "For another light or season of a like landscape; only with classes of another product.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterEnum(
                "NORMALISATION", "Normalisation", ["none", "l2", "zscore", "pca"], False, "zscore", False, True
            ),
            "Of the embeddings before clustering.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterNumber("SEED", "Seed", WHOLE, 0, False, 0, 2**31 - 1),
            "Of the clustering's random numbers: the same seed gives the same classes.",
            advanced=True,
        )

    def _add_segmenter(self) -> None:
        """What finds the objects."""
        self.add(
            QgsProcessingParameterEnum(
                "SEGMENTER", "Segmenter", ["regions", "sam", "sam-hub"], False, "regions", False, True
            ),
            "regions needs no download and no graphics card; sam is Segment Anything (downloads 375 MB once, or give "
            "a checkpoint); sam-hub are its successors. An installed plug-in: --segmenter NAME in further options.",
        )
        self.add(
            QgsProcessingParameterNumber("GRANULARITY", "Granularity", REAL, 1.0, False, 0.01, 100),
            "From coarse, such as 0.3, to fine, such as 3 (regions).",
        )
        self.add(
            QgsProcessingParameterString("MODEL", "Model", optional=True),
            "vit_b, vit_l or vit_h (sam; vit_b when left out); a name of `geoalps models`, or a directory (sam-hub).",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterFile("CHECKPOINT", "Checkpoint", optional=True),
            "File with the weights (sam), instead of a download.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterString("DEVICE", "Device", "auto", optional=True),
            "auto, cpu, cuda or cuda:1 (sam, sam-hub).",
            advanced=True,
        )

    def _add_tiles(self) -> None:
        """How the scene is cut for the work."""
        self.add(
            QgsProcessingParameterNumber("TILE_SIZE", "Tile size (pixels)", WHOLE, 1024, False, 16),
            "Pixels of a tile's core. Smaller tiles need less memory.",
        )
        self.add(
            QgsProcessingParameterNumber("MARGIN", "Margin (pixels)", WHOLE, 128, False, 0),
            "Pixels read around a core, so that no object is cut; up to half the tile size.",
        )

    def _add_reading(self) -> None:
        """How the scene is read."""
        self.add(
            QgsProcessingParameterString("BANDS", "Bands", optional=True),
            "One or three band numbers, from 1, as red, green, blue: 4,3,2. Left out: by colour, else the first three.",
        )
        self.add(
            QgsProcessingParameterNumber("NODATA", "No-data value", REAL, None, True),
            "Value that is no data, instead of the file's.",
            advanced=True,
        )

    def _add_outlines(self) -> None:
        """What the polygons look like."""
        self.add(
            QgsProcessingParameterNumber("MIN_AREA", "Smallest area (square metres)", REAL, None, True, 0),
            "Smaller pieces go to their longest neighbour. Left out: 24 pixels.",
        )
        self.add(
            QgsProcessingParameterNumber("SIMPLIFY", "Simplify outlines (metres)", REAL, 0.0, False, 0),
            "Shared borders stay shared. 0: outlines follow the pixels.",
        )

    def _add_running(self) -> None:
        """How the work is done."""
        self.add(
            QgsProcessingParameterNumber("WORKERS", "Worker processes", WHOLE, None, True, 1),
            "For large scenes on a machine with many cores and much memory. Left out: threads of one process.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterEnum(
                "ON_ERROR", "Tiles that cannot be read", ["fail", "skip"], False, "fail", False, True
            ),
            "fail: an error once all else is done. skip: left uncovered and recorded.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterBoolean("OVERWRITE", "Replace what is there", False),
            "Replace a product that is in the folder; tiles made with the same settings are kept.",
        )
        self.add(
            QgsProcessingParameterBoolean("CLEAN", "Delete the store at the end", False),
            "Saves disk, but then nothing can be reused.",
            advanced=True,
        )

    def prepareAlgorithm(self, parameters: dict[str, Any], context: Any, _feedback: Any) -> bool:  # noqa: N802
        """In the main thread: what the layers are, and letting go of those of a product that is replaced."""
        scene = self.parameterAsRasterLayer(parameters, "SCENE", context)
        if scene is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, "SCENE"))
        self._scene = gdal_source(scene)
        given = self.parameterAsString(parameters, "OUTPUT", context)
        if not given and not Path(self._scene).is_file():
            raise QgsProcessingException(f"{self._scene} is no local file; give the product folder (OUTPUT)")
        self._folder = Path(given).expanduser().resolve() if given else default_output(self._scene)
        self._held = Held(context.project(), self._folder)
        release(self._held)
        return True

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:  # noqa: N802
        """Run geoalps; see HELP."""
        try:
            asked = self.values(command_line.TILE_LABEL, parameters, context)
            more = self.parameterAsString(parameters, "OPTIONS", context)
            run_geoalps(command_line.tile_label(self._scene, str(self._folder), asked, more), feedback)
        except command_line.OptionsError as error:
            raise QgsProcessingException(str(error)) from error
        finally:
            self._held.ended.emit()
        load_later(context, self._folder, self.parameterAsBool(parameters, "LOAD_LABELS", context))
        return {"OUTPUT": str(self._folder), **product_outputs(self._folder)}


def gdal_source(layer: Any) -> str:
    """What GDAL opens for a raster layer; an exception for a layer of a server's pictures."""
    if layer.providerType() != "gdal":
        raise QgsProcessingException(
            f"{layer.name()} is a layer of the provider {layer.providerType()}, no raster that GDAL reads; save it as "
            "a GeoTIFF first (Export > Save As), or give a file"
        )
    return str(layer.source().split("|option:")[0])


def release(held: Held) -> None:
    """Let go of layers; an exception in one line when one is being edited."""
    try:
        held.release()
    except EditedError as error:
        raise QgsProcessingException(str(error)) from error


def product_outputs(folder: Path) -> dict[str, str]:
    """The outputs that a product is; the report if there is one."""
    found = {"OBJECTS": objects_source(folder), "LABELS": str(folder / RASTER), "FOLDER": str(folder)}
    report = folder / REPORT
    return {**found, "REPORT": str(report)} if report.exists() else found
