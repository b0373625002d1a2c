"""``geoalps:export``: a product in the format of other software."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from . import command_line
from .algorithm import GeoalpsAlgorithm, run_geoalps

FORMATS = ["geoparquet", "coco", "mmseg", "sgo", "stac"]


class Export(GeoalpsAlgorithm):
    """For training, for tables, for catalogues."""

    NAME = "export"
    TITLE = "Export a product"
    TAGS = ("GeoParquet", "COCO", "mmsegmentation", "training", "chips", "STAC")
    HELP = (
        "Writes a product in the format of other software.\n\n"
        "geoparquet: objects as one table (a file).\n"
        "coco: chips, and objects as run-length encoded masks: pycocotools, Detectron2, mmdetection (a folder).\n"
        "mmseg: chips and label maps, split by geographic blocks: mmsegmentation (a folder).\n"
        "sgo: objects and their boundaries as rasters, or as chips with a chip size (a folder).\n"
        "stac: an item for catalogues (a file, with relative paths: write it into the product's folder)."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802 - QGIS's name
        """Parameters and outputs."""
        self.add(
            QgsProcessingParameterFile("PRODUCT", "Product folder", QgsProcessingParameterFile.Folder),
            "Folder that geoalps:tile_label made.",
        )
        self.add(
            QgsProcessingParameterEnum("FORMAT", "Format", FORMATS, False, "geoparquet", False, True), "What to write."
        )
        self.add(
            QgsProcessingParameterNumber(
                "CHIP_SIZE", "Chip size (pixels)", QgsProcessingParameterNumber.Integer, None, True, 1
            ),
            "A chip's side (coco, mmseg: 512 when left out; sgo: without it, whole rasters).",
        )
        self.add(
            QgsProcessingParameterString("SPLIT", "Splits", optional=True),
            "Shares of training, validation and test: 0.7,0.15,0.15 (mmseg's when left out; coco, sgo: none).",
        )
        self.add(
            QgsProcessingParameterString("SCENE", "Scene", optional=True),
            "Where the scene is, if not where it was (coco, mmseg, sgo as chips).",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterString("WHEN", "Date of the scene", optional=True),
            "2026-03-01T10:15:00Z, a date, or BEGIN/END (stac). Left out: when the product was finished.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterString("OPTIONS", "Further options", optional=True),
            "As in a terminal, such as: --min-cover 0.5; geoalps export --help lists all.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterBoolean("OVERWRITE", "Replace what is there", False),
            "Replace a file or an export that is there.",
        )
        self.add(
            QgsProcessingParameterFileDestination("OUTPUT", "Output", "All files (*.*)"),
            "File (geoparquet, stac) or folder (coco, mmseg, sgo) to make.",
        )

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:  # noqa: N802
        """Run geoalps; see HELP."""
        folder = self.product_folder(parameters, context)
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context)).expanduser().resolve()
        asked = self.values(command_line.EXPORT, parameters, context)
        try:
            more = self.parameterAsString(parameters, "OPTIONS", context)
            made = command_line.export(str(folder), str(output), asked, more)
        except command_line.OptionsError as error:
            raise QgsProcessingException(str(error)) from error
        finished = run_geoalps(made, feedback)
        return {"OUTPUT": finished.out.strip().splitlines()[-1]}
