"""``geoalps:evaluate``: a product against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterString,
    QgsRasterLayer,
    QgsVectorLayer,
)

from . import command_line
from .algorithm import GeoalpsAlgorithm, run_geoalps
from .scores import figures, page
from .tile_label import gdal_source

FIGURES = {
    "OVERALL_ACCURACY": "Overall accuracy, one-to-one",
    "MEAN_IOU": "Mean IoU, one-to-one",
    "NMI": "Normalised mutual information",
    "ARI": "Adjusted Rand index",
    "PURITY": "Purity",
}
"""Outputs that are numbers."""


class Evaluate(GeoalpsAlgorithm):
    """How good the classes and outlines are, where that is known."""

    NAME = "evaluate"
    TITLE = "Evaluate against the truth"
    TAGS = ("accuracy", "validation", "confusion matrix", "IoU", "reference")
    HELP = (
        "Holds a product against the truth: a raster of classes, or polygons or points with a class.\n\n"
        "The truth may have another reference system, resolution and extent. Scored is where it is known: not on "
        "nodata, and not outside of features. Pixels without a label are wrong.\n\n"
        "one-to-one: every class gets one cluster (Hungarian); falls with the number of clusters.\n"
        "many-to-one: every cluster is called by its commonest class; rises with it.\n"
        "by name: classes of the product that are named as those of the truth."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802 - QGIS's name
        """Parameters and outputs."""
        self.add(
            QgsProcessingParameterFile("PRODUCT", "Product folder", QgsProcessingParameterFile.Folder),
            "Folder that geoalps:tile_label made.",
        )
        kinds = [QgsProcessing.TypeRaster, QgsProcessing.TypeVectorPolygon, QgsProcessing.TypeVectorPoint]
        self.add(
            QgsProcessingParameterMapLayer("TRUTH", "Truth", None, False, kinds),
            "Raster of classes, or polygons or points with a class.",
        )
        self.add(
            QgsProcessingParameterField("FIELD", "Field with the class", None, "TRUTH", optional=True),
            "Of polygons or points. Left out: class.",
        )
        self.add(
            QgsProcessingParameterString("IGNORE", "Classes that are not scored", optional=True),
            "Values of the truth, with commas in between, such as 0 or 0,99.",
        )
        self.add(
            QgsProcessingParameterString("BACKGROUND", "Class outside of the features", optional=True),
            "Name of the class of all that lies outside. Left out: it is not scored.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterFile("INSTANCES", "Raster of instances", optional=True),
            "Instance numbers (0 none), beside a raster of classes: true outlines for the objects.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterString("OPTIONS", "Further options", optional=True),
            "As in a terminal; geoalps evaluate --help lists all.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterFileDestination("HTML", "Tables", "HTML files (*.html)"),
            "Page with all tables; shown in the results viewer.",
        )
        self.add(
            QgsProcessingParameterFileDestination("OUTPUT", "Figures", "JSON files (*.json)"),
            "All figures, for programs.",
        )
        for name, title in FIGURES.items():
            self.addOutput(QgsProcessingOutputNumber(name, title))

    def prepareAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> bool:  # noqa: N802
        """In the main thread: what the truth is; a layer that is no file is written to one."""
        self._folder = self.product_folder(parameters, context)
        truth, self._layer = self.parameterAsLayer(parameters, "TRUTH", context), None
        if isinstance(truth, QgsRasterLayer):
            self._truth = gdal_source(truth)
        elif isinstance(truth, QgsVectorLayer):
            formats = ["gpkg", "shp", "geojson", "fgb"]
            self._truth, self._layer = self.parameterAsCompatibleSourceLayerPathAndLayerName(
                parameters, "TRUTH", context, formats, "gpkg", feedback
            )
        else:
            raise QgsProcessingException("the truth cannot be opened; give a raster, or polygons or points")
        return True

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:  # noqa: N802
        """Run geoalps; see HELP."""
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        html = Path(self.parameterAsFileOutput(parameters, "HTML", context))
        asked = self.values(command_line.EVALUATE, parameters, context)
        ignored = str(asked["IGNORE"] or "").split(",")
        asked["IGNORE"] = tuple(value.strip() for value in ignored if value.strip())
        more = self.parameterAsString(parameters, "OPTIONS", context)
        try:
            made = command_line.evaluate(str(self._folder), self._truth, self._layer, str(output), asked, more)
        except command_line.OptionsError as error:
            raise QgsProcessingException(str(error)) from error
        finished = run_geoalps(made, feedback)
        feedback.pushConsoleInfo(finished.out)
        found = json.loads(output.read_text(encoding="utf-8"))
        html.write_text(page(found), encoding="utf-8")
        return {"OUTPUT": str(output), "HTML": str(html), **figures(found)}
