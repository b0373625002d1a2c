"""QGIS plugin: the commands of geoalps as Processing algorithms, run in an environment that the user picks.

``environment``, ``command_line``, ``running``, ``progress`` and ``product`` are plain Python; ``layers``,
``algorithm``, ``provider``, ``plugin`` and the modules of the algorithms need QGIS. None imports geoalps: its libraries
and those of QGIS do not go together in one process.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:  # noqa: N802 - QGIS calls it so
    """The plugin, for QGIS."""
    from .plugin import GeoalpsPlugin

    return GeoalpsPlugin(iface)
