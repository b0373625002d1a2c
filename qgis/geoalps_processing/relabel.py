"""``geoalps:relabel``: names, colours and merges for the classes of a product."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    NULL,
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputFolder,
    QgsProcessingOutputHtml,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorLayer,
    QgsProviderRegistry,
    QgsVectorLayer,
)

from . import command_line
from .algorithm import GeoalpsAlgorithm, run_geoalps
from .layers import Held, load_later
from .product import COLUMNS, OBJECTS, inside, write_class_table
from .tile_label import product_outputs, release

IN_FILE, IN_GEOPACKAGE = "classes.csv", "labels.gpkg"


class Relabel(GeoalpsAlgorithm):
    """Without running a model again."""

    NAME = "relabel"
    TITLE = "Name, colour and merge classes"
    TAGS = ("rename", "merge", "legend", "classes", "style")
    HELP = (
        "Gives the classes of a product the names, colours and merges of a class table; no model runs.\n\n"
        "A class table has the columns class_id, name, colour, merge_into: classes.csv in the product, edited in a "
        "spreadsheet; the table classes of labels.gpkg, edited in QGIS (its column class_name is the name); or any "
        "table layer with these columns. Rows that are left out and cells that are empty stay as they are, but for "
        "merge_into: empty, it takes a merge back.\n\n"
        "Rasters, polygons, style and class model are rewritten together. Layers of the product that are loaded show "
        "the new classes; save their edits before."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802 - QGIS's name
        """Parameters and outputs."""
        self.add(
            QgsProcessingParameterFile("PRODUCT", "Product folder", QgsProcessingParameterFile.Folder),
            "Folder that geoalps:tile_label made.",
        )
        self.add(
            QgsProcessingParameterEnum(
                "SOURCE", "Take classes from", [IN_FILE, IN_GEOPACKAGE], False, IN_FILE, False, True
            ),
            "classes.csv of the product, or the table classes of its labels.gpkg. Not used with a table of its own.",
        )
        self.add(
            QgsProcessingParameterVectorLayer("TABLE", "Or from this table", [QgsProcessing.TypeVector], None, True),
            "CSV file or table layer with the columns class_id, name, colour, merge_into.",
        )
        self.add(
            QgsProcessingParameterString("LEGEND", "Legend", optional=True),
            "Names are codes or names of this legend, which gives the colours: worldcover, corine, ... (geoalps "
            "legends lists them).",
        )
        self.add(
            QgsProcessingParameterBoolean("DISSOLVE", "Also write dissolved.gpkg", False),
            "Neighbouring objects of one class as one polygon.",
        )
        self.add(
            QgsProcessingParameterBoolean("RESET", "Take all merges back", False),
            "Names and colours stay; no table is read.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterBoolean("LOAD_LABELS", "Load the raster of classes, too", False),
            "labels.tif beside the polygons.",
        )
        self.addOutput(QgsProcessingOutputVectorLayer("OBJECTS", "Objects"))
        self.addOutput(QgsProcessingOutputRasterLayer("LABELS", "Classes"))
        self.addOutput(QgsProcessingOutputFolder("FOLDER", "Product"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def prepareAlgorithm(self, parameters: dict[str, Any], context: Any, _feedback: Any) -> bool:  # noqa: N802
        """In the main thread: the table, and letting go of the product's layers."""
        self._folder = self.product_folder(parameters, context)
        self._scratch = tempfile.TemporaryDirectory(prefix="geoalps_")
        self._held = Held(context.project(), self._folder)
        release(self._held)  # before the table is read: edits that are not saved are none
        try:
            self._table = self._table_path(parameters, context)
        except BaseException:
            self._scratch.cleanup()
            self._held.restore()  # nothing runs that would do so at its end
            raise
        return True

    def _table_path(self, parameters: dict[str, Any], context: Any) -> str | None:
        """The class table as geoalps reads it; None for its own choice, classes.csv."""
        if self.parameterAsBool(parameters, "RESET", context):
            return None
        given = parameters.get("TABLE")
        if isinstance(given, str) and Path(given).is_file():
            return given  # as it is, whatever QGIS would take its columns for
        layer = self.parameterAsVectorLayer(parameters, "TABLE", context)
        if layer is not None:
            return str(_path_of(layer, self._folder) or _written(layer, Path(self._scratch.name)))
        if given not in (None, ""):
            raise QgsProcessingException(f"the table {given} cannot be opened; give a CSV file or a table layer")
        source = self.parameterAsEnumString(parameters, "SOURCE", context)
        return str(self._folder / OBJECTS) if source == IN_GEOPACKAGE else None

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:  # noqa: N802
        """Run geoalps; see HELP."""
        try:
            asked = self.values(command_line.RELABEL, parameters, context)
            run_geoalps(command_line.relabel(str(self._folder), self._table, asked), feedback)
        except QgsProcessingException as error:
            if "was edited: name it" in str(error):
                hint = "here: choose labels.gpkg under Take classes from (SOURCE), or give classes.csv as the table"
                raise QgsProcessingException(f"{error}; {hint}") from error
            raise
        finally:
            self._scratch.cleanup()
            self._held.ended.emit()
        load_later(context, self._folder, self.parameterAsBool(parameters, "LOAD_LABELS", context))
        return product_outputs(self._folder)


def _path_of(layer: QgsVectorLayer, folder: Path) -> Path | None:
    """The file that a layer is, where geoalps can read it itself: a CSV file, or the product's own GeoPackage."""
    parts = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source())
    path = Path(parts.get("path") or "")
    if layer.subsetString() or not path.is_file():
        return None
    own = path.name == OBJECTS and inside(str(path), folder) and parts.get("layerName") == "classes"
    return path if own or path.suffix.lower() == ".csv" else None


def _written(layer: QgsVectorLayer, scratch: Path) -> Path:
    """A layer's rows as a class table."""
    names = [field.name() for field in layer.fields()]
    wanted = [name for name in (*COLUMNS, "class_name") if name in names]
    rows = (
        {name: None if feature[name] == NULL else feature[name] for name in wanted} for feature in layer.getFeatures()
    )
    path = scratch / "classes.csv"
    try:
        write_class_table(path, rows)
    except ValueError as error:
        raise QgsProcessingException(f"{layer.name()}: {error}") from error
    return path
