"""Layers of a product in a project: loaded in the colours of their classes, and let go of while their files change."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingUtils,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication, QObject, QThread, pyqtSignal
from qgis.PyQt.QtXml import QDomDocument

from .environment import WINDOWS
from .product import LAYER, RASTER, default_style, inside, objects_source

_kept: list[object] = []
"""What QGIS calls later and does not keep alive itself."""


class EditedError(Exception):
    """A layer of the product is being edited; the text is one line."""


class Style(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer the look that its product has for it, once it is in the project."""

    def postProcessLayer(self, layer: QgsMapLayer, _context: object, _feedback: object) -> None:  # noqa: N802
        """Called by QGIS in its main thread."""
        style(layer)


def load_later(context: QgsProcessingContext, folder: Path, raster: bool) -> None:
    """Have QGIS load the polygons of a product, and its label raster if asked to, once the algorithm has ended."""
    if context.project() is None:
        return
    wanted = [(objects_source(folder), folder.name, "OBJECTS", QgsProcessingUtils.LayerHint.Vector)]
    if raster:
        name = f"{folder.name} (raster)"
        wanted.append((str(folder / RASTER), name, "LABELS", QgsProcessingUtils.LayerHint.Raster))
    there = {Path(layer.source().split("|")[0]).name for layer in of_product(context.project(), folder)}
    for source, name, output, hint in wanted:
        if Path(source.split("|")[0]).name in there:
            continue  # it is shown anew, and need not be there twice
        details = QgsProcessingContext.LayerDetails(name, context.project(), output, hint)
        styler = Style()
        _kept.append(styler)
        details.setPostProcessor(styler)
        context.addLayerToLoadOnCompletion(source, details)


def style(layer: QgsMapLayer) -> None:
    """Give a layer of a product the colours, names and legend that the product has for it."""
    path = Path(layer.source().split("|")[0])
    if isinstance(layer, QgsVectorLayer):
        document = QDomDocument()
        qml = default_style(path, _table(layer))
        if qml is not None and document.setContent(qml)[0]:
            layer.importNamedStyle(document)
    elif isinstance(layer, QgsRasterLayer) and path.name == RASTER:
        layer.loadNamedStyle(str(path.with_suffix(".qml")))
    layer.triggerRepaint()


def _table(layer: QgsVectorLayer) -> str:
    """The table of a GeoPackage that a layer shows; the only one with polygons where its source names none."""
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    return parts.get("layerName") or LAYER


def of_product(project: QgsProject, folder: Path) -> list[QgsMapLayer]:
    """Layers of a project whose file lies in the folder of a product."""
    return [
        layer
        for layer in project.mapLayers().values()
        if layer.providerType() in ("ogr", "gdal") and inside(layer.source(), folder)
    ]


def in_main_thread() -> bool:
    """Whether layers may be touched here."""
    return QThread.currentThread() == QCoreApplication.instance().thread()


class Held(QObject):
    """The layers of a product in a project, while geoalps writes the product anew.

    QGIS keeps a GeoPackage open: after an edit with a log beside it, on which geoalps refuses to write, and ever after
    as the file that it was. So the connections are closed before, and opened anew after, whether the run ended well or
    not. On Windows an open file cannot be replaced: there the layers are empty for the time of the run.

    Args:
        project: of the context, or None.
        folder: the product's.
        detach: whether the layers leave their files for the time of the run.
    """

    ended = pyqtSignal()
    """To be emitted once geoalps has ended, in whatever thread."""

    def __init__(self, project: QgsProject | None, folder: Path, detach: bool = WINDOWS) -> None:
        super().__init__()
        self._project, self._detach, self._sources = project, detach, dict[str, tuple[str, str]]()
        self._layers = of_product(project, folder) if project is not None and in_main_thread() else []
        self.ended.connect(self.restore)

    def release(self) -> None:
        """Close the connections.

        Raises:
            EditedError: one of the layers is in edit mode.
        """
        for layer in self._layers:
            if isinstance(layer, QgsVectorLayer) and layer.isEditable():
                raise EditedError(
                    f"the layer {layer.name()} of this product is being edited; save or discard the edits (Toggle "
                    "Editing), and run again"
                )
        for layer in self._layers:
            self._sources[layer.id()] = (layer.source(), layer.providerType())
            _detach(layer)
        if not self._detach:  # only once all have closed it is the log gone
            self._attach()
        self._layers = []  # a layer may be deleted while geoalps runs
        _kept.append(self)

    def _attach(self) -> list[QgsMapLayer]:
        """Point the layers that are still there at their files; these layers."""
        there = []
        for number, (source, provider) in self._sources.items():
            layer = self._project.mapLayer(number)
            if layer is not None:
                layer.setDataSource(source, layer.name(), provider)
                there.append(layer)
        return there

    def restore(self) -> None:
        """Open the files as they are now, with the colours of the classes."""
        for layer in self._attach():
            if _shows_classes(layer):
                style_classes(layer)
            layer.triggerRepaint()
        self._sources = {}
        if self in _kept:
            _kept.remove(self)


def _detach(layer: QgsMapLayer) -> None:
    """Point a layer at nothing, without losing its style."""
    if isinstance(layer, QgsVectorLayer):
        kind = "Polygon" if layer.isSpatial() else "None"
        layer.setDataSource(f"{kind}?crs={layer.crs().authid()}", layer.name(), "memory")
    else:
        layer.setDataSource("", layer.name(), "gdal")


def _shows_classes(layer: QgsMapLayer) -> bool:
    """Whether a layer shows the classes, as the product's own style does."""
    shown = layer.renderer() if hasattr(layer, "renderer") else None
    if isinstance(shown, QgsCategorizedSymbolRenderer):
        return shown.classAttribute() == "class_id"
    return isinstance(shown, QgsPalettedRasterRenderer) or (isinstance(layer, QgsRasterLayer) and shown is None)


def style_classes(layer: QgsMapLayer) -> None:
    """Take over colours, names and legend of the file's style, and leave labels, forms and all else as they are."""
    if isinstance(layer, QgsRasterLayer):
        style(layer)
        return
    fresh = QgsVectorLayer(layer.source(), LAYER, "ogr")
    style(fresh)
    if isinstance(fresh.renderer(), QgsCategorizedSymbolRenderer):
        layer.setRenderer(fresh.renderer().clone())
        layer.emitStyleChanged()
