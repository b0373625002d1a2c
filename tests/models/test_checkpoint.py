import contextlib
import hashlib
import http.server
import os
import re
import threading

import pytest
import torch

from geoalps.errors import CheckpointError, OptionError
from geoalps.models import checkpoint as checkpoints
from geoalps.models.checkpoint import PUBLISHED, PublishedCheckpoint, cache_directory, fetch, load_state, sha256

CONTENT = bytes(range(256)) * 4000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at any path, in the way its attributes say, and keeps the ranges it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.drop_after = []
        """Bytes after which the connection ends, one per answer; complete answers once used up."""
        self.asked = []
        self.redirect = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/sam_tiny.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        if server.content is None:
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: server.drop_after.pop(0)] if server.drop_after else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path / "cache"))
    published = PublishedCheckpoint(server.url, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(PUBLISHED, "vit_b", published)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cached(tmp_path):
    return tmp_path / "cache" / "sam_tiny.pth"


@pytest.fixture
def part(cached):
    return cached.with_name("sam_tiny.pth.part")


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_fetched_once(server, cached, part):
    assert fetch("vit_b") == cached
    assert cached.read_bytes() == CONTENT
    assert not part.exists()
    assert fetch("vit_b") == cached
    assert server.asked == [None]


def test_progress_goes_to_stderr_only_when_wanted(server, cached, capfd):
    fetch("vit_b", progress=False)
    assert capfd.readouterr() == ("", "")
    cached.unlink()
    fetch("vit_b")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "sam_tiny.pth" in captured.err


def test_dropped_connection_is_continued_at_once(server, cached):
    server.drop_after = [300_000, 200_000]
    assert fetch("vit_b").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_continues(server, cached, part):
    server.drop_after = [400_000, 0]
    with pytest.raises(CheckpointError) as error:
        fetch("vit_b")
    assert "400000 of 1024000 bytes" in one_line(error)
    assert part.stat().st_size == 400_000
    assert not cached.exists()
    assert fetch("vit_b").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=400000-"


def test_server_without_ranges_begins_again(server, cached, part):
    server.ranges = False
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else" * 100)
    assert fetch("vit_b").read_bytes() == CONTENT
    assert server.asked == ["bytes=1400-"]


def test_wrong_content_is_refused_and_removed(server, cached, part):
    server.content = CONTENT[::-1]
    with pytest.raises(CheckpointError) as error:
        fetch("vit_b")
    assert "SHA-256 begins with" in one_line(error)
    assert not cached.exists()
    assert not part.exists()
    server.content = CONTENT
    assert fetch("vit_b").read_bytes() == CONTENT


def test_no_more_than_the_published_size_is_written(server, cached, part):
    server.content = CONTENT + b"more"
    assert fetch("vit_b").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 5])
def test_a_full_but_wrong_part_is_removed(server, cached, part, size):
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * size)
    with pytest.raises(CheckpointError, match="run again"):
        fetch("vit_b")
    assert not part.exists()
    assert fetch("vit_b").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server, cached):
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT[:-1] + b"?")
    assert fetch("vit_b").read_bytes() == CONTENT


def test_of_several_fetches_at_once_one_downloads(server, cached):
    results = []
    threads = [threading.Thread(target=lambda: results.append(fetch("vit_b", progress=False))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [cached] * 3
    assert cached.read_bytes() == CONTENT
    assert server.asked == [None]


def test_what_the_server_lacks(server):
    server.content = None
    with pytest.raises(CheckpointError) as error:
        fetch("vit_b")
    assert server.url in one_line(error)
    assert "--checkpoint FILE" in str(error.value)
    assert "--segmenter regions" in str(error.value)


def test_offline(server, monkeypatch):
    monkeypatch.setattr(checkpoints, "_opener", _Unreachable)
    with pytest.raises(CheckpointError) as error:
        fetch("vit_b")
    assert "Network is unreachable; give --checkpoint FILE" in one_line(error)


class _Unreachable:
    def open(self, *args, **kwargs):
        raise checkpoints.urllib.error.URLError(OSError(101, "Network is unreachable"))


@pytest.mark.parametrize("scheme", ["file", "ftp", "data"])
def test_other_schemes_are_refused_also_behind_a_redirect(server, tmp_path, monkeypatch, scheme):
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    target = f"{scheme}://{'' if scheme == 'file' else '127.0.0.1'}{secret}"
    server.redirect = target
    with pytest.raises(CheckpointError):
        fetch("vit_b")
    monkeypatch.setitem(PUBLISHED, "vit_b", PublishedCheckpoint(target, len(CONTENT), PUBLISHED["vit_b"].sha256))
    with pytest.raises(CheckpointError):
        fetch("vit_b")


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match="--checkpoint FILE"):
        fetch("vit_b")


def test_unknown_name():
    with pytest.raises(OptionError, match="published are vit_b, vit_h, vit_l"):
        fetch("vit_x")


def test_published_table():
    for name, published in PUBLISHED.items():
        assert published.url.startswith("https://")
        assert published.filename.startswith(f"sam_{name}_")
        assert re.fullmatch("[0-9a-f]{64}", published.sha256)


def test_cache_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("GEOALPS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "geoalps"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "geoalps"
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"


def test_sha256_follows_the_file(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"other"):
        path.write_bytes(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(CheckpointError, match="is no file"):
        sha256(tmp_path)


WEIGHTS = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.half)}


@pytest.mark.parametrize("zipped", [True, False])
def test_both_forms_load(tmp_path, zipped):
    for i, (saved, config) in enumerate([(WEIGHTS, {}), ({"model": WEIGHTS, "config": {"x": [1]}}, {"x": [1]})]):
        path = tmp_path / f"{i}.pth"
        torch.save(saved, path, _use_new_zipfile_serialization=zipped)
        state, found = load_state(path)
        assert found == config
        assert set(state) == set(WEIGHTS)
        assert all(torch.equal(state[name], WEIGHTS[name]) for name in WEIGHTS)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_never_run(tmp_path, zipped):
    path = tmp_path / "evil.pth"
    torch.save({"a": torch.ones(1), "b": Payload(tmp_path / "ran")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as error:
        load_state(path)
    assert "never run" in one_line(error)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0, 1, 10, 100, 0.5, 0.99])
def test_truncated(tmp_path, zipped, keep):
    whole, path = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save(WEIGHTS, whole, _use_new_zipfile_serialization=zipped)
    content = whole.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(CheckpointError) as error:
        load_state(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize(
    "content", [b"\x80\x02.", b"<html>not found</html>", b"\x00" * 5000, b"PK\x03\x04" * 99, b"(" * 9]
)
def test_garbage(tmp_path, content):
    path = tmp_path / "garbage.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load_state(path)
    one_line(error)


@pytest.mark.parametrize(
    "saved", [[1, 2], {}, {"a": 1}, {1: torch.ones(1)}, {"model": 3, "config": {}}, {"model": WEIGHTS, "config": [1]}]
)
def test_no_state_dict(tmp_path, saved):
    torch.save(saved, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError) as error:
        load_state(tmp_path / "odd.pth")
    assert "holds no state dict" in one_line(error)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match="is no file"):
        load_state(tmp_path / "missing.pth")
