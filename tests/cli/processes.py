"""geoalps as a process, again and again: a parent that has imported everything forks a child for each command.

A start from nothing costs seconds of imports; a fork does not, and is as much a process: exit code, file descriptors
and limits are its own. Where there is no fork, each command is a process of its own from the start.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

# and what the program imports when it comes to it: for a GeoPackage, for areas, for clusters
PRELOAD = ("geoalps.cli.run", "geoalps.models.regions", "pyogrio", "scipy.interpolate", "distributed")
TIMEOUT = 120


@dataclass(frozen=True)
class Finished:
    """What a process left."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands; close it in the end."""

    def __init__(self):
        self._server = None
        self._folder = tempfile.TemporaryDirectory()

    def __call__(self, *args, cwd=None, largest_file=None):
        """Run ``geoalps ARGS``; ``largest_file`` in bytes makes writing fail as on a full disk."""
        request = {"args": [str(arg) for arg in args], "cwd": str(cwd or Path.cwd()), "largest_file": largest_file}
        if sys.platform != "linux":
            return self._apart(request)
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
        self._server.stdin.write(json.dumps({**request, "out": str(out), "err": str(err)}) + "\n")
        self._server.stdin.flush()
        code = json.loads(self._server.stdout.readline())
        return Finished(code, out.read_text(), err.read_text())

    def _apart(self, request):
        command = [sys.executable, "-m", "geoalps", *request["args"]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=request["cwd"], timeout=TIMEOUT, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    def close(self):
        if self._server is not None:
            self._server.stdin.close()
            self._server.wait()
            self._server.stdout.close()
        self._folder.cleanup()


def serve():
    """Fork a child for every line of stdin; answer with its exit code."""
    for module in PRELOAD:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    gc.freeze()
    # a pipe of its own, because children point 1 and 2 elsewhere
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            become(request)
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()
    os._exit(0)


def become(request):
    """Be ``python -m geoalps ARGS``."""
    import resource
    import signal

    for number, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    signal.alarm(TIMEOUT)
    if request["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"],) * 2)
    sys.argv = ["geoalps", *request["args"]]
    code = 1
    try:
        runpy.run_module("geoalps", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        traceback.print_exc()
    finally:
        # the interpreter's own end would take down a thousand modules, one by one
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
