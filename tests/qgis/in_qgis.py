"""What happens inside of QGIS, without a window: run by a Python that has PyQGIS; prints one JSON object.

in_qgis.py TEST ARGUMENTS...; the plugin is imported from the profile that QGIS_CUSTOM_CONFIG_PATH names.
"""

import json
import os
import sys
from pathlib import Path

PROFILE = Path(os.environ["QGIS_CUSTOM_CONFIG_PATH"]) / "profiles" / "default" / "python" / "plugins"
sys.path[:0] = ["/usr/share/qgis/python/plugins", str(PROFILE)]

from qgis.core import (  # noqa: E402 - the path comes first
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsVectorLayer,
)


def start():
    """QGIS with Processing and the plugin."""
    app = QgsApplication([], True)
    app.initQgis()
    import processing
    from geoalps_processing import classFactory
    from processing.core.Processing import Processing

    Processing.initialize()
    plugin = classFactory(None)
    plugin.initProcessing()
    return app, processing, plugin


def run(processing, name, feedback=None, **parameters):
    """Run an algorithm as the toolbox does, loading what it gives; its results, or the text of its exception."""
    from processing.gui.Postprocessing import handleAlgorithmResults

    context, feedback = QgsProcessingContext(), feedback or QgsProcessingFeedback()
    context.setProject(QgsProject.instance())
    try:
        results = processing.run(f"geoalps:{name}", parameters, context=context, feedback=feedback)
    except QgsProcessingException as error:
        return f"{error} {feedback.textLog()}"
    algorithm = QgsApplication.processingRegistry().algorithmById(f"geoalps:{name}")
    assert handleAlgorithmResults(algorithm, context, feedback, parameters=parameters)
    return results


def looks(layer):
    """Legend of a layer: labels and colours in their order, and the classes that its features have."""
    shown = layer.renderer()
    if isinstance(layer, QgsVectorLayer):
        entries = [(c.label(), c.symbol().color().name()) for c in shown.categories()]
        values = sorted({feature["class_name"] for feature in layer.getFeatures()})
        return {"renderer": type(shown).__name__, "entries": entries, "values": values}
    return {"renderer": type(shown).__name__, "entries": [(c.label, c.color.name()) for c in shown.classes()]}


def layers():
    """Name -> legend, of all layers of the project."""
    return {layer.name(): looks(layer) for layer in QgsProject.instance().mapLayers().values()}


def open_files(folder):
    """Files of a folder that this process has open, those that were replaced included."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(entry.readlink())
        except OSError:
            continue
    return sorted(str(path.name) for path in found if path.parent == Path(folder))


def edit(source, number, name, stop):
    """Give a class a name in the table of a GeoPackage; the layer, still being edited unless ``stop``."""
    table = QgsVectorLayer(f"{source}|layername=classes", "classes", "ogr")
    QgsProject.instance().addMapLayer(table)
    table.startEditing()
    (row,) = [feature for feature in table.getFeatures() if feature["class_id"] == number]
    assert table.changeAttributeValue(row.id(), table.fields().indexOf("class_name"), name)
    if stop:
        assert table.commitChanges()
    return table


def loading(processing, folder):
    """Cancel, go on, load both, name a class in QGIS, relabel, with layers open all the time."""
    product = Path(folder)
    asked = {"SCENE": str(product.parent / "town.tif"), "OUTPUT": folder, "CLASSES": "6", "LOAD_LABELS": True,
             "TILE_SIZE": 256, "MARGIN": 32}  # fmt: skip
    found = {"cancelled": cancelling(processing, asked)}
    found["results"], found["loaded"] = run(processing, "tile_label", **asked), layers()
    table = edit(product / "labels.gpkg", 0, "meadow", stop=False)
    found["while editing"] = run(processing, "relabel", PRODUCT=folder, SOURCE="labels.gpkg")
    assert table.commitChanges(False)
    found["saved, still editing"] = run(processing, "relabel", PRODUCT=folder, SOURCE="labels.gpkg")
    assert table.commitChanges()
    list(table.getFeatures())
    found["log"] = (product / "labels.gpkg-wal").exists()
    QgsProject.instance().removeMapLayer(table.id())
    edit(product / "labels.gpkg", 1, "forest", stop=True)
    found["wrong table"] = run(processing, "relabel", PRODUCT=folder)
    found["relabelled"] = run(processing, "relabel", PRODUCT=folder, SOURCE="labels.gpkg")
    found["after"] = shown(product)
    found["open"] = open_files(folder)
    return found


def shown(product):
    """Legends of the product's layers but for its table."""
    return {
        layer.name(): looks(layer)
        for layer in QgsProject.instance().mapLayers().values()
        if layer.name() != "classes" and layer.source().startswith(str(product))
    }


def table_layer(processing, folder):
    """Relabel by a layer that is no file, while the product's layers leave their files, as on Windows."""
    from geoalps_processing import layers as module
    from qgis.core import QgsFeature

    project, product = QgsProject.instance(), Path(folder)
    objects = QgsVectorLayer(f"{product / 'labels.gpkg'}|layername=objects", "objects", "ogr")
    module.style(objects)
    project.addMapLayer(objects)
    held = module.Held(project, product, detach=True)
    list(objects.getFeatures())
    held.release()
    detached = {"open": open_files(folder), "count": objects.featureCount(), "look": looks_safe(objects)}
    rows = QgsVectorLayer("None?field=class_id:integer&field=name:string&field=colour:string", "names", "memory")
    for number, name in ((2, "roof"), (3, "road")):
        row = QgsFeature(rows.fields())
        row.setAttributes([number, name, "#0000ff" if number == 2 else None])
        rows.dataProvider().addFeature(row)
    held.ended.emit()
    wrong = QgsVectorLayer("None?field=kind:integer", "no classes", "memory")
    row = QgsFeature(wrong.fields())
    row.setAttributes([1])
    wrong.dataProvider().addFeature(row)
    refused = {"said": run(processing, "relabel", PRODUCT=folder, TABLE=wrong), "kept": len(module._kept)}
    result = run(processing, "relabel", PRODUCT=folder, TABLE=rows)
    return {
        "refused": refused,
        "detached": detached,
        "result": result,
        "after": shown(product),
        "kept": len(module._kept),
    }


def parameters(_processing):
    """Algorithm -> parameter -> help text."""
    provider = QgsApplication.processingRegistry().providerById("geoalps")
    return {
        algorithm.id(): {found.name(): found.help() for found in algorithm.parameterDefinitions()}
        for algorithm in provider.algorithms()
    }


def looks_safe(layer):
    """Legend alone."""
    return [(c.label(), c.symbol().color().name()) for c in layer.renderer().categories()]


class Cancelling(QgsProcessingFeedback):
    """Cancels at the first step of the first stage, and keeps what is said."""

    def __init__(self):
        super().__init__(False)
        self.lines, self.figures = [], []
        self.progressChanged.connect(self.at)

    def at(self, percent):
        self.figures.append(percent)
        if percent > 0:
            self.cancel()


def cancelling(processing, asked):
    """Cancel at the first tile; what is left of it."""
    feedback, product = Cancelling(), Path(asked["OUTPUT"])
    said = run(processing, "tile_label", feedback, **asked)
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.parent.name != str(os.getpid()) and os.fsencode(f"--output={product}") in read(path)
    ]
    tiles = len(list((product / "work").rglob("*.parquet")))
    whole = (product / "run.json").exists()
    return {"said": said, "left": left, "figures": feedback.figures, "tiles": tiles, "whole": whole}


def read(path):
    """A file of a process that may have gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def main():
    """The test that the command line names."""
    name, *arguments = sys.argv[1:]
    held = start()  # QGIS goes when nobody holds it
    found = globals()[name](held[1], *arguments)
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # PyQGIS can crash in its own tear-down


if __name__ == "__main__":
    main()
