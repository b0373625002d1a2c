"""The plugin's modules, and QGIS with the plugin in a profile of its own."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "qgis"))

PYTHON = "/usr/bin/python3"
"""A Python that has PyQGIS, where the system has QGIS."""
PROCESS = next((path for path in ("/usr/bin/qgis_process.bin", "/usr/bin/qgis_process") if Path(path).exists()), None)
"""Debian's qgis_process is a script that gives it an option which it does not know (QGIS_OPTS)."""


@dataclass(frozen=True)
class Qgis:
    """QGIS without a window, with the plugin installed."""

    environ: dict[str, str]
    folder: Path

    def process(self, *args, check=True, cwd=None):
        """``qgis_process ARGS``."""
        return self._run([PROCESS, *args], check, {}, cwd)

    def algorithm(self, name, check=True, changes=(), **parameters):
        """``qgis_process --json run geoalps:NAME``: its results; without ``check``, the whole process."""
        given = [f"--{key}={value}" for key, value in parameters.items()]
        done = self._run([PROCESS, "--json", "run", f"geoalps:{name}", *given], check, dict(changes))
        return json.loads(done.stdout)["results"] if check else done

    def inside(self, name, *args):
        """A test of ``in_qgis.py``; what it found."""
        done = self._run([PYTHON, str(Path(__file__).with_name("in_qgis.py")), name, *map(str, args)], True, {})
        return json.loads(done.stdout.splitlines()[-1])

    def _run(self, command, check, changes, cwd=None):
        environ = {**self.environ, **changes}
        done = subprocess.run(
            command, env=environ, cwd=cwd or self.folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """The installable zip, made by the script as people call it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, str(ROOT / "qgis" / "package.py"), "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def qgis(packed, tmp_path_factory):
    """QGIS with a new profile, the plugin unpacked in it as Install from ZIP does, and enabled."""
    if PROCESS is None:
        pytest.skip("QGIS is not installed (no /usr/bin/qgis_process)")
    if subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, cwd="/", check=False).returncode:
        pytest.skip(f"{PYTHON} has no PyQGIS")
    folder = tmp_path_factory.mktemp("qgis")
    (foreign := folder / "foreign").mkdir()
    # as where QGIS brings libraries of its own: they must not reach geoalps
    (foreign / "rasterio.py").write_text("raise ImportError('this is the library of another Python')")
    (runtime := folder / "runtime").mkdir(mode=0o700)
    plugins = folder / "config" / "profiles" / "default" / "python" / "plugins"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(plugins)
    environ = {
        "PATH": "/usr/bin:/bin",  # QGIS takes the first python3 for its own
        "HOME": str(folder),
        "QGIS_CUSTOM_CONFIG_PATH": str(folder / "config"),
        "XDG_RUNTIME_DIR": str(runtime),
        "QT_QPA_PLATFORM": "offscreen",
        "LC_ALL": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "GEOALPS_PROGRAM": sys.executable,
        "PYTHONPATH": str(foreign),
    }
    made = Qgis(environ, folder)
    said = made.process("plugins", "enable", "geoalps_processing").stdout
    assert "Enabled geoalps_processing" in said
    yield made
    shutil.rmtree(folder / "config", ignore_errors=True)


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    """A made scene with its truth, to be read only."""
    path = tmp_path_factory.mktemp("town") / "town.tif"
    subprocess.run([sys.executable, "-m", "geoalps", "-q", "sample", str(path), "--size", "512"], check=True)
    return path


@pytest.fixture(scope="session")
def labelled(qgis, town, tmp_path_factory):
    """(results, product) of geoalps:tile_label through qgis_process, to be read or copied only."""
    product = tmp_path_factory.mktemp("labelled") / "town labels"
    results = qgis.algorithm("tile_label", SCENE=town, OUTPUT=product, CLASSES=6)
    return results, product


@pytest.fixture
def product(labelled, tmp_path):
    """A copy of the product, to be changed."""
    copied = tmp_path / "product"
    shutil.copytree(labelled[1], copied)
    return copied


@pytest.fixture
def program(tmp_path):
    """Makes a program that does what its text says."""

    def make(text, name="geoalps"):
        path = tmp_path / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    if os.name == "nt":
        pytest.skip("a program without an ending does not run on Windows")
    return make
