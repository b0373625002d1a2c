"""The plugin: it brings the provider, and nothing else."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsApplication

from .provider import GeoalpsProvider


class GeoalpsPlugin:
    """What QGIS starts; ``iface`` is its window, or None where there is none."""

    def __init__(self, iface: Any) -> None:
        self.iface = iface
        self.provider: GeoalpsProvider | None = None

    def initProcessing(self) -> None:  # noqa: N802 - QGIS's name; qgis_process calls only this
        """Add the algorithms."""
        self.provider = GeoalpsProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802 - QGIS's name
        """Add the algorithms; there are no menus or buttons."""
        self.initProcessing()

    def unload(self) -> None:
        """Take the algorithms out again."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
