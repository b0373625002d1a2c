"""Draw docs/images/qgis_window.png: QGIS with a product and the dialog of geoalps:tile_label.

/usr/bin/python3 docs/images/qgis_window.py SCENE PRODUCT TARGET.png

Needs QGIS with the plugin in the profile that QGIS_CUSTOM_CONFIG_PATH names, enabled there (docs/qgis.md), and Xvfb.
The script starts QGIS in an X server of its own, and gives it the rest of itself to run.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

SIZE = "1400x900x24"
SECONDS = 150
"""How long QGIS may take."""


def start(scene, product, target):
    """An X server, QGIS in it, and an end to both."""
    display = f":{90 + os.getpid() % 100}"
    server = subprocess.Popen(["/usr/bin/Xvfb", display, "-screen", "0", SIZE, "-nolisten", "tcp"])
    try:
        time.sleep(2)
        given = {"SCENE": scene, "PRODUCT": product, "TARGET": target}
        environ = {**os.environ, **{f"PICTURE_{key}": str(Path(path).resolve()) for key, path in given.items()}}
        environ |= {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
        command = ["/usr/bin/qgis", "--nologo", "--noversioncheck", "--code", str(Path(__file__).resolve())]
        subprocess.run(command, env=environ, timeout=SECONDS, check=False)
    finally:
        server.terminate()
        server.wait()
    sys.exit(0 if Path(target).exists() else f"{target} was not drawn")


def inside():
    """In QGIS: the layers, the dialog, and after a moment the picture of the screen."""
    from geoalps_processing.layers import style
    from qgis.core import QgsProject, QgsRasterLayer, QgsVectorLayer
    from qgis.PyQt.QtCore import QTimer
    from qgis.PyQt.QtWidgets import QApplication, QDockWidget
    from qgis.utils import iface

    scene, product, target = (os.environ[f"PICTURE_{key}"] for key in ("SCENE", "PRODUCT", "TARGET"))
    window = iface.mainWindow()
    window.setGeometry(0, 0, 1400, 900)
    QgsProject.instance().addMapLayer(QgsRasterLayer(scene, Path(scene).stem))
    layer = QgsVectorLayer(f"{product}/labels.gpkg|layername=objects", Path(product).name, "ogr")
    style(layer)
    QgsProject.instance().addMapLayer(layer)
    iface.setActiveLayer(layer)
    iface.zoomToActiveLayer()
    QgsProject.instance().layerTreeRoot().findLayer(layer.id()).setExpanded(True)
    for dock in window.findChildren(QDockWidget):
        if dock.objectName().startswith("Browser"):
            dock.close()

    def open_dialog():
        """The dialog of the algorithm, filled in."""
        import processing

        window.dialog = processing.createAlgorithmDialog("geoalps:tile_label", {"SCENE": scene, "CLASSES": "16"})
        window.dialog.setGeometry(620, 150, 760, 660)
        window.dialog.show()
        QTimer.singleShot(6000, take)

    def take():
        """The whole screen."""
        QApplication.primaryScreen().grabWindow(0).save(target)
        os._exit(0)

    QTimer.singleShot(6000, open_dialog)


if "PICTURE_TARGET" in os.environ:
    inside()
elif __name__ == "__main__":
    start(*sys.argv[1:4])
