import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from geoalps.errors import CheckpointError, OptionError, PluginError
from geoalps.models import checkpoint
from geoalps.models.catalogue import CATALOGUE, KnownModel, fetch, known, locate
from geoalps.models.checkpoint import PUBLISHED, PublishedCheckpoint
from geoalps.models.pretrained import ModelDirectory
from geoalps.plugins import names

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.ThreadingHTTPServer):
    """As much of the hub as its client asks for: one repository with some files."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.gated = False
        self.status = 200
        self.got = []
        """Names of the files that were sent."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.server.status != 200:
            self.reply(self.server.status, b"")
        elif self.path.startswith("/api/"):
            self.listing()
        elif self.server.gated:
            self.reply(403, b"", {"X-Error-Code": "GatedRepo"})
        else:
            self.file(self.path.partition(f"/resolve/{REVISION}/")[2])

    def listing(self):
        files = [{"type": "file", "path": name, "rfilename": name, "size": len(content), "oid": oid(content)}
                 for name, content in self.server.files.items()]  # fmt: skip
        told = {"id": "facebook/tiny", "sha": REVISION, "siblings": files, "private": False, "downloads": 0, "tags": []}
        body = files if "/tree/" in self.path else told
        self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def file(self, name):
        if name not in self.server.files:
            return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = self.server.files[name]
        if self.command == "GET":
            self.server.got.append(name)
        return self.reply(200, content, {"ETag": f'"{oid(content)}"', "X-Repo-Commit": REVISION})

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


def oid(content):
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def weights(tmp_path):
    save_file({"weight": np.arange(3, dtype=np.float32)}, tmp_path / "made.safetensors")
    return (tmp_path / "made.safetensors").read_bytes()


@pytest.fixture
def hub(weights, tmp_path, monkeypatch):
    """A hub on this machine, with one model of the catalogue, beside things that must not be fetched."""
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path / "cache"))
    config = json.dumps({"model_type": "sam2_video"}).encode()
    server = Hub({"config.json": config, "model.safetensors": weights, "sam2.1_hiera_tiny.pt": b"pickled",
                  "evil.py": b"import os", "preprocessor_config.json": b"{}"})  # fmt: skip
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    address = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants._HF_DEFAULT_ENDPOINT, server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_fetches_what_is_needed_once_and_writes_it_down(hub, weights):
    path = fetch("sam2.1-tiny", progress=False)
    assert path == known("sam2.1-tiny").path == locate("sam2.1-tiny")
    assert {file.name for file in path.iterdir() if file.is_file()} == {
        "config.json", "model.safetensors", "preprocessor_config.json", "sha256.json"
    }  # fmt: skip
    assert (path / "model.safetensors").read_bytes() == weights
    written = json.loads((path / "sha256.json").read_text())
    assert written["revision"] == REVISION
    assert written["files"]["model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert known("sam2.1-tiny").is_there
    assert not known("sam2.1-small").is_there
    sent = list(hub.got)
    assert fetch("sam2.1-tiny", progress=False) == path
    assert hub.got == sent, "nothing is fetched twice"


def test_what_changes_in_the_cache_later_is_refused(hub):
    path = fetch("sam2.1-tiny", progress=False)
    (path / "config.json").write_text(json.dumps({"model_type": "sam2"}))
    for ask in (lambda: fetch("sam2.1-tiny", progress=False), ModelDirectory.open(path).verify):
        with pytest.raises(CheckpointError, match=r"config.json is not the file that was fetched: .*; delete"):
            ask()


def test_a_broken_download_leaves_nothing_that_looks_whole(hub, weights):
    hub.files["model.safetensors"] = weights[:-5]
    with pytest.raises(CheckpointError, match="cut off or no safetensors"):
        fetch("sam2.1-tiny", progress=False)
    assert not known("sam2.1-tiny").is_there
    with pytest.raises(CheckpointError, match="is not in the cache"):
        locate("sam2.1-tiny")
    hub.files["model.safetensors"] = weights
    assert fetch("sam2.1-tiny", progress=False).is_dir()


def failed(name, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        fetch(name, progress=False)
    assert "\n" not in str(caught.value)


def test_a_repository_with_pickled_weights_only(hub):
    del hub.files["model.safetensors"]
    hub.files["pytorch_model.bin"] = b"pickled"
    failed("sam2.1-tiny", r"holds no model\.safetensors")
    assert "pytorch_model.bin" not in hub.got


def test_gated(hub):
    hub.gated = True
    failed("sam3", r"sam3 is gated: accept its licence \(SAM License\) at https://huggingface.co/facebook/sam3 with")


def test_no_network(hub):
    hub.shutdown()
    hub.server_close()
    failed("dinov2-small", r"cannot fetch dinov2-small from https://huggingface.co/facebook/dinov2-small \(.*\); where")


def test_a_hub_that_does_not_know_it(hub):
    hub.status = 404
    failed("sam-hq-base", "cannot fetch sam-hq-base from https://huggingface.co/syscv-community/sam-hq-vit-base")


def test_without_the_extra(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PluginError, match=r'needs huggingface_hub .*; pip install "geoalps\[hub\]"'):
        fetch("sam2.1-tiny")


def test_segment_anything_s_own_are_fetched_as_ever(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path))
    content = b"weights"
    there = PublishedCheckpoint("http://127.0.0.1:9/sam_tiny.pth", len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(PUBLISHED, "vit_b", there)
    (tmp_path / "sam_tiny.pth").write_bytes(content)
    assert fetch("vit_b") == tmp_path / "sam_tiny.pth" == known("vit_b").path
    assert checkpoint.fetch("vit_b") == fetch("vit_b")


def test_unknown_names():
    for ask in (fetch, known, locate):
        with pytest.raises(OptionError, match=r"sam4.*known are .*sam3"):
            ask("sam4")


def test_the_catalogue_says_what_is_so():
    assert {name for name, model in CATALOGUE.items() if model.plugin == "sam"} == set(PUBLISHED)
    for name, model in CATALOGUE.items():
        assert isinstance(model, KnownModel)
        assert name == model.name
        assert model.plugin in names(f"{model.kind}s")
        assert model.address.startswith("https://")
        assert model.parameters > 1e7
        assert model.repository is None or re.fullmatch(r"[\w-]+/[\w.-]+", model.repository)
        assert json.loads(json.dumps(model.to_json()))["name"] == name
        if model.repository is None:
            assert (model.size, model.sha256) == (PUBLISHED[name].size, PUBLISHED[name].sha256)
    gated = {name for name, model in CATALOGUE.items() if model.gated}
    assert gated == {"sam3", *(name for name in CATALOGUE if name.startswith("dinov3"))}


def test_parameters_are_those_of_the_architectures():
    """Where an architecture's defaults or plain numbers say it; nothing is allocated."""
    import torch
    from segment_anything import sam_model_registry
    from transformers import Dinov2Config, Dinov2Model

    def count(network):
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        assert count(sam_model_registry["vit_b"]()) == CATALOGUE["vit_b"].parameters
        base = Dinov2Model(Dinov2Config(image_size=518, patch_size=14))
        assert count(base) == CATALOGUE["dinov2-base"].parameters


def test_loads_no_torch():
    heavy = "('torch', 'transformers', 'timm', 'huggingface_hub')"
    code = f"import sys, geoalps.models.catalogue, geoalps.cli.models; print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
