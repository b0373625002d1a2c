"""geoalps as a process that something happens to while it runs.

As in :mod:`processes`, a child is forked from a process that has imported everything. It leads a process group of its
own, so that one signal reaches it and the workers that it started.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path

from processes import PRELOAD, TIMEOUT, Finished, become

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOAD))

killed = partial(os.killpg, 0, signal.SIGKILL)
"""What may happen: the process group dies."""
stopped = partial(os.killpg, 0, signal.SIGSTOP)
"""It stands still."""


@dataclass(frozen=True)
class Before:
    """What happens at a moment that does not depend on the clock.

    The moment is when a file is about to appear by rename, or to be deleted, for the ``nth`` time. The interpreter
    reports that to the process itself, which then does ``happens()``.
    """

    pattern: str
    """Of the path's end, as :meth:`pathlib.PurePath.match` takes it."""
    nth: int = 1
    happens: partial = killed

    def watch(self):
        """From now on, in this process."""
        seen = 0

        def hook(event, args):
            nonlocal seen
            if event in ("os.rename", "os.remove"):
                name = os.fsdecode(args[event == "os.rename"])
                seen += (match := Path(name).match(self.pattern))
                if match and seen == self.nth:
                    self.happens()

        sys.addaudithook(hook)


@dataclass(frozen=True)
class Call:
    """What happens when a method is about to be called for the ``nth`` time."""

    module: str
    owner: str
    """Name of the class."""
    method: str
    nth: int = 1
    happens: partial = killed

    def watch(self):
        """From now on, in this process."""
        owner = getattr(import_module(self.module), self.owner)
        called, seen = getattr(owner, self.method), count(1)

        def calling(*args, **kwargs):
            if next(seen) == self.nth:
                self.happens()
            return called(*args, **kwargs)

        setattr(owner, self.method, calling)


class Running:
    """``geoalps ARGS``, begun.

    Args:
        *args: of the command.
        before: when something happens to it, and what: a :class:`Before` or a :class:`Call`.
        plugins: a directory to import from.
        largest_file: in bytes, makes writing fail as on a full disk.
    """

    def __init__(self, *args, before=None, plugins=None, largest_file=None):
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = (Path(self._folder.name) / name for name in ("out", "err"))
        request = {"args": [str(arg) for arg in args], "cwd": str(Path.cwd()), "largest_file": largest_file}
        request |= {"out": str(self._out), "err": str(self._err)}
        self._process = _context.Process(target=_run, args=(request, before, plugins and str(plugins)))
        self._process.start()

    def when(self, happened):
        """Wait until ``happened()`` is true, which must be before the process ends."""
        while not happened():
            assert self._process.is_alive(), f"ended too early: {self.end()}"
            time.sleep(0.002)
        return self

    @property
    def stopped(self):
        """Whether it stands still."""
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def send(self, number):
        """A signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        return self

    def end(self):
        """Wait for the end; what it left."""
        self._process.join()
        out, err = (path.read_text() if path.exists() else "" for path in (self._out, self._err))
        self._folder.cleanup()
        return Finished(self._process.exitcode, out, err)


def run(*args, **settings):
    """``geoalps ARGS`` to its end."""
    return Running(*args, **settings).end()


def _run(request, before, plugins):
    """In the child."""
    os.setsid()
    faulthandler.dump_traceback_later(TIMEOUT - 20)  # into what it leaves, should it hang
    if plugins:
        sys.path.insert(0, plugins)
    if before:
        before.watch()
    become(request)
