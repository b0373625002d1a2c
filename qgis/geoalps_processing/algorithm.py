"""What all algorithms share: their look, the values of their parameters, and a run of geoalps with progress."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
)
from qgis.PyQt.QtGui import QIcon

from .command_line import Option, shown
from .environment import VARIABLE, Program, ProgramError, clean_environment, program
from .product import problem
from .progress import Listener
from .running import GO_ON, Finished, failure, run

ICON = Path(__file__).with_name("icon.svg")


class GeoalpsAlgorithm(QgsProcessingAlgorithm):
    """One command of geoalps; subclasses give ``NAME``, ``TITLE``, ``HELP`` and ``TAGS``."""

    NAME = ""
    TITLE = ""
    HELP = ""
    TAGS: tuple[str, ...] = ()

    def createInstance(self) -> GeoalpsAlgorithm:  # noqa: N802 - QGIS's name
        """Another of its kind."""
        return type(self)()

    def name(self) -> str:
        """Second part of the id."""
        return self.NAME

    def displayName(self) -> str:  # noqa: N802 - QGIS's name
        """As the toolbox shows it."""
        return self.TITLE

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS's name
        """Beside the parameters."""
        return self.HELP

    def tags(self) -> list[str]:
        """Words by which the toolbox finds it."""
        return ["geoalps", *self.TAGS]

    def icon(self) -> QIcon:
        """The plugin's."""
        return QIcon(str(ICON))

    def svgIconPath(self) -> str:  # noqa: N802 - QGIS's name
        """The same, as a file."""
        return str(ICON)

    def add(self, parameter: QgsProcessingParameterDefinition, help_text: str, advanced: bool = False) -> None:
        """Add a parameter with its help."""
        parameter.setHelp(help_text)
        if advanced:
            parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(parameter)

    def values(self, options: Sequence[Option], parameters: dict[str, Any], context: Any) -> dict[str, object]:
        """Parameter -> value of the options that are set; None for those that are not."""
        return {option.name: self._value(option.name, parameters, context) for option in options}

    def _value(self, name: str, parameters: dict[str, Any], context: Any) -> object:
        """A parameter's value by its kind."""
        definition = self.parameterDefinition(name)
        if parameters.get(name, definition.defaultValue()) in (None, ""):
            return None
        if isinstance(definition, QgsProcessingParameterBoolean):
            return self.parameterAsBool(parameters, name, context)
        if isinstance(definition, QgsProcessingParameterEnum):
            return self.parameterAsEnumString(parameters, name, context)
        if isinstance(definition, QgsProcessingParameterNumber):
            whole = definition.dataType() == QgsProcessingParameterNumber.Integer
            return (self.parameterAsInt if whole else self.parameterAsDouble)(parameters, name, context)
        return self.parameterAsString(parameters, name, context)

    def product_folder(self, parameters: dict[str, Any], context: Any) -> Path:
        """The folder that PRODUCT names; an exception that says why it is no product."""
        folder = Path(self.parameterAsString(parameters, "PRODUCT", context)).expanduser().resolve()
        wrong = problem(folder)
        if wrong:
            raise QgsProcessingException(wrong)
        return folder


def geoalps() -> Program:
    """The geoalps that the setting or the environment names; an exception in one line when there is none."""
    try:
        return program(ProcessingConfig.getSetting(VARIABLE) or "")
    except ProgramError as error:
        raise QgsProcessingException(str(error)) from error


def run_geoalps(arguments: Sequence[str], feedback: QgsProcessingFeedback) -> Finished:
    """Run a command to its end with progress; an exception when it fails or is cancelled."""
    finished = start_geoalps(geoalps(), arguments, feedback)
    if finished.cancelled:
        raise QgsProcessingException(f"cancelled; {GO_ON}")
    if finished.code:
        raise QgsProcessingException(failure(finished))
    return finished


def start_geoalps(found: Program, arguments: Sequence[str], feedback: QgsProcessingFeedback) -> Finished:
    """Run a command to its end, whatever that is; an exception when it cannot be started."""
    command = [*found.command, *arguments]
    feedback.pushInfo(f"geoalps {found.version} of {found.command[0]}")
    feedback.pushCommandInfo(shown(command))

    def say(kind: str, text: str) -> None:
        """A line where it belongs."""
        to = {"warning": feedback.pushWarning, "stage": feedback.setProgressText}.get(kind, feedback.pushInfo)
        to(text)

    try:
        return run(
            command,
            clean_environment(os.environ),
            Listener(arguments[0], feedback.setProgress, say),
            feedback.isCanceled,
        )
    except OSError as error:
        raise QgsProcessingException(f"{command[0]} cannot be started: {error.strerror or error}") from error
