"""geoalps as a process: its lines as they come, its end, and its end before its time."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from .environment import NO_WINDOW, WINDOWS

PATIENCE = 5.0
"""Seconds that a cancelled process has for its own end, before it is killed."""
LOOK = 0.1
"""Seconds between two looks at whether the user cancelled."""
GO_ON = "what is done so far is kept: run it again with the same settings, and it goes on where it stopped"
"""What to know after cancelling."""


@dataclass(frozen=True)
class Finished:
    """What a process left."""

    code: int
    """Its exit code; negative: the signal that ended it."""
    out: str
    """Standard output."""
    err: tuple[str, ...]
    """Lines of standard error."""
    cancelled: bool
    """Whether it was ended because ``cancelled()`` said so."""


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> Finished:
    """Run a command to its end, in a process group of its own.

    Args:
        command: program and arguments; no shell sees them.
        environ: all variables that it gets.
        on_line: hears every line of standard error, in the thread of the caller.
        cancelled: asked ten times a second; once it is true, the process and those that it started are ended.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        list(command), env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace", **_apart(),
    )  # fmt: skip
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    out: list[str] = []
    readers = [
        threading.Thread(target=_pass_lines, args=(process.stderr, lines), daemon=True),
        threading.Thread(target=lambda: out.append(process.stdout.read()), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        err, stopped = _listen(lines, on_line, cancelled)
    except BaseException:  # a listener that fails must leave no process behind
        end_group(process)
        raise
    if stopped:
        end_group(process)
    code = process.wait()
    for reader, stream in zip(readers, (process.stderr, process.stdout)):  # noqa: B905 - QGIS's Python may be 3.9
        reader.join(PATIENCE)
        if not reader.is_alive():  # closing would wait for whoever still reads
            stream.close()
    return Finished(code, "".join(out), tuple(err), stopped)


def _apart() -> dict[str, object]:
    """Settings that give a process a group of its own, and no window."""
    if WINDOWS:
        return {"creationflags": NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _pass_lines(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Every line of a stream, then None."""
    with suppress(ValueError, OSError):
        for line in stream:
            lines.put(line.rstrip("\r\n"))
    lines.put(None)


def _listen(
    lines: queue.SimpleQueue[str | None], on_line: Callable[[str], None], cancelled: Callable[[], bool]
) -> tuple[list[str], bool]:
    """All lines until the stream ends, or until it is cancelled; and which of both it was."""
    heard: list[str] = []
    while True:
        if cancelled():
            return heard, True
        try:
            line = lines.get(timeout=LOOK)
        except queue.Empty:
            continue
        if line is None:
            return heard, False
        heard.append(line)
        on_line(line)


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started: asked first, killed after :data:`PATIENCE`."""
    if WINDOWS:
        subprocess.run(  # noqa: S603 - Windows' own program, by its own path
            [os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe"),  # noqa: PTH118
             "/T", "/F", "/PID", str(process.pid)],
            capture_output=True, check=False, creationflags=NO_WINDOW,
        )  # fmt: skip
        return
    _signal_group(process.pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        process.poll()  # a process that ended is in its group until it is waited for
        if not _signal_group(process.pid, 0):
            return
        time.sleep(0.02)
    _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


IN_DIALOG = {
    "--overwrite": "Replace what is there",
    "--class-model": "Classes of another product",
    "--tile-size": "Tile size",
    "--nodata": "No-data value",
    "--bands": "Bands",
}
"""Options that geoalps advises, and what they are called in QGIS."""


def failure(finished: Finished) -> str:
    """What went wrong, in the one line that geoalps says it in, and what its options are called here."""
    said = [line.strip() for line in finished.err if line.strip()]
    errors = [line for line in said if line.startswith("Error: ")]
    if errors:
        text = errors[-1][len("Error: ") :]
        called = [f"{option} is called {name}" for option, name in IN_DIALOG.items() if option in text]
        return f"{text} (here {', '.join(called)})" if called else text
    last = f": {said[-1]}" if said else ""
    if finished.code < 0 or finished.code in (137, 139, 143):
        number = -finished.code if finished.code < 0 else finished.code - 128
        memory = "; if the memory was used up, take a smaller tile size" if number == signal_number("SIGKILL") else ""
        return f"geoalps was ended by signal {number}{last}{memory}; {GO_ON}"
    return f"geoalps ended with exit code {finished.code}{last}"


def signal_number(name: str) -> int:
    """The number of a signal; -1 where the system has none of this name."""
    return int(getattr(signal, name, -1))
