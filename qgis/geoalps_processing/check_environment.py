"""``geoalps:check_environment``: whether geoalps is found and well."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
)

from .algorithm import GeoalpsAlgorithm, geoalps, start_geoalps
from .environment import clean_environment, describe
from .running import failure, run


class CheckEnvironment(GeoalpsAlgorithm):
    """What to run first, and when something is wrong."""

    NAME = "check_environment"
    TITLE = "Check the environment of geoalps"
    TAGS = ("doctor", "installation", "version", "settings")
    HELP = (
        "Says which geoalps runs, in which version, and whether all that it needs is there and works.\n\n"
        "Where it is, is set in Settings > Options > Processing > Providers > geoalps: the geoalps program, a Python, "
        "or the folder of an environment. The variable GEOALPS_PROGRAM is stronger. Left empty, it is searched for."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802 - QGIS's name
        """Parameters and outputs."""
        self.add(
            QgsProcessingParameterBoolean("DOCTOR", "Look at all that geoalps needs (geoalps doctor)", True),
            "Takes some seconds: libraries, models, and a tiny run.",
        )
        self.addOutput(QgsProcessingOutputString("PROGRAM", "Program"))
        self.addOutput(QgsProcessingOutputString("VERSION", "Version"))
        self.addOutput(QgsProcessingOutputBoolean("WELL", "All is well"))

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:  # noqa: N802
        """Find it, ask its version, and have it look at itself."""
        found = geoalps()
        feedback.pushInfo(describe())
        well = True
        asked = [*found.command, "doctor", "--help"]
        knows = not run(asked, clean_environment(os.environ), lambda _line: None, feedback.isCanceled).code
        if self.parameterAsBool(parameters, "DOCTOR", context) and knows:
            finished = start_geoalps(found, ["doctor"], feedback)
            if finished.cancelled:
                raise QgsProcessingException("cancelled")
            for line in finished.out.splitlines():
                (feedback.pushWarning if line.startswith("wrong") else feedback.pushInfo)(line)
            well = finished.code == 0
            if not well and not finished.out:
                raise QgsProcessingException(failure(finished))
        else:
            feedback.pushInfo(f"geoalps {found.version} of {' '.join(found.command)} answers")
        return {"PROGRAM": " ".join(found.command), "VERSION": found.version, "WELL": well}
