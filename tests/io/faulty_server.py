"""An HTTP server that serves bytes by ranges, counts what it serves, and misbehaves when told to.

It is a process of its own: rasterio holds Python's lock while GDAL reads some of a header, and a server in a thread
would never answer.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = 4096


@dataclass(frozen=True)
class Fault:
    """What goes wrong."""

    kind: int | str
    """A status to answer with; ``drop`` (half of the body, then the connection ends); ``slow`` (10 ms every 4 kB);
    ``whole`` (ranges are ignored)."""
    first: int = 1_000_000
    """So many times for the very same request; later ones are served well."""
    share: float = 1.0
    """Of the requests, at random."""
    seed: int = 0
    blocks_only: bool = False
    """HEAD, and what begins at byte 0, are served well."""


class FaultyServer:
    """The server as a test sees it; a context manager."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __enter__(self):
        command = [sys.executable, __file__, str(self.folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.host = f"127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def url(self, name):
        return f"http://{self.host}/{name}"

    def set(self, fault=None, etag='"one"', modified="Wed, 01 Jan 2025 00:00:00 GMT"):
        """From now on, with counts from nought."""
        self._tell({"fault": asdict(fault) if fault else None, "etag": etag, "modified": modified})

    @property
    def asked(self):
        """Method, path and range of every request since."""
        return [tuple(request) for request in self._tell(None)["asked"]]

    @property
    def sent(self):
        """Bytes of bodies since."""
        return self._tell(None)["sent"]

    def _tell(self, message):
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class State:
    """What the handlers of all connections share."""

    def __init__(self, folder):
        self.folder, self.lock = folder, threading.Lock()
        self.set({"fault": None, "etag": "", "modified": ""})

    def set(self, message):
        self.fault = Fault(**message["fault"]) if message["fault"] else None
        self.etag, self.modified = message["etag"], message["modified"]
        self.random = random.Random(self.fault.seed if self.fault else 0)  # noqa: S311
        self.asked, self.sent, self.seen = [], 0, Counter()

    def note(self, *request):
        """Count a request; gives what goes wrong with it."""
        with self.lock:
            before = self.seen[request]
            self.seen[request] += 1
            self.asked.append(request)
            fault, (method, _, span) = self.fault, request
            if fault is None or before >= fault.first or self.random.random() >= fault.share:
                return None
            plain = method == "HEAD" or span is None or span.startswith("bytes=0-")
            return None if fault.blocks_only and plain else fault.kind


class Handler(BaseHTTPRequestHandler):
    """One connection; several requests may come through it."""

    protocol_version = "HTTP/1.1"
    state: State

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def log_message(self, *_):
        """Silence."""

    def answer(self):
        path, span = self.path.split("?")[0], self.headers.get("Range")
        fault = self.state.note(self.command, path, span)
        file = self.state.folder / path.lstrip("/")
        if isinstance(fault, int) or not file.is_file():
            self.head(fault if isinstance(fault, int) else 404, 0)
            return
        content = file.read_bytes()
        if span is None or fault == "whole":
            self.head(200, len(content))
            self.body(content, fault)
            return
        start, stop = (int(part) if part else None for part in span.removeprefix("bytes=").split("-"))
        part = content[start : len(content) if stop is None else stop + 1]
        if not part:
            self.head(416, 0)
            return
        self.head(206, len(part), f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.body(part, fault)

    def head(self, status, length, place=None):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if place:
            self.send_header("Content-Range", place)
        if status < 400:
            for name, value in (("ETag", self.state.etag), ("Last-Modified", self.state.modified)):
                if value:
                    self.send_header(name, value)
        self.end_headers()

    def body(self, part, fault):
        if self.command == "HEAD":
            return
        if fault == "drop":
            part = part[: len(part) // 2]
            self.close_connection = True
        try:
            for start in range(0, len(part), CHUNK):
                if fault == "slow":
                    time.sleep(0.01)
                self.wfile.write(part[start : start + CHUNK])
                with self.state.lock:
                    self.state.sent += len(part[start : start + CHUNK])
        except OSError:
            # Whoever asked has heard enough.
            self.close_connection = True


def serve(folder):
    """Serve until stdin ends; every line of it is new settings or null, and is answered with the counts."""
    Handler.state = State(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        with Handler.state.lock:
            if message is not None:
                Handler.state.set(message)
            print(json.dumps({"asked": Handler.state.asked, "sent": Handler.state.sent}), flush=True)
    server.shutdown()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
