"""The provider: a setting that says where geoalps is, and the algorithms."""

from __future__ import annotations

import os
from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .check_environment import CheckEnvironment
from .environment import VARIABLE, ProgramError, find_command
from .evaluate import Evaluate
from .export import Export
from .relabel import Relabel
from .tile_label import TileLabel

ICON = str(Path(__file__).with_name("icon.svg"))


class GeoalpsProvider(QgsProcessingProvider):
    """Algorithms ``geoalps:...``."""

    def id(self) -> str:
        """First part of the algorithms' ids."""
        return "geoalps"

    def name(self) -> str:
        """As the toolbox shows it."""
        return "geoalps"

    def longName(self) -> str:  # noqa: N802 - QGIS's name
        """As lists of providers show it."""
        return "geoalps: pseudo-labels for huge scenes"

    def icon(self) -> QIcon:
        """Of the toolbox and the settings."""
        return QIcon(ICON)

    def svgIconPath(self) -> str:  # noqa: N802 - QGIS's name
        """The same, as a file."""
        return ICON

    def load(self) -> bool:
        """Bring the setting and the algorithms."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        ProcessingConfig.addSetting(
            Setting(
                self.name(),
                VARIABLE,
                "geoalps program, Python, or folder of an environment (empty: search)",
                "",
                valuetype=Setting.FILE,
                validator=check_setting,
                placeholder="search",
            )
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Take the setting out; what was set is kept."""
        if VARIABLE in ProcessingConfig.settings:
            ProcessingConfig.removeSetting(VARIABLE)

    def loadAlgorithms(self) -> None:  # noqa: N802 - QGIS's name
        """The algorithms, in the order of the work."""
        for made in (TileLabel, Relabel, Evaluate, Export, CheckEnvironment):
            self.addAlgorithm(made())


def check_setting(value: str | None) -> None:
    """Refuse a path with nothing that runs; ValueError says why, and Processing's settings show it."""
    if value:
        try:
            find_command(value, {key: text for key, text in os.environ.items() if key != VARIABLE}, Path.home())
        except ProgramError as error:
            raise ValueError(str(error)) from error
