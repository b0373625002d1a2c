"""A scene on another machine is read by blocks, survives a bad connection, and says clearly when it cannot."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from faulty_server import Fault, FaultyServer

from geoalps.errors import OptionError, SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io.remote import SETTINGS, Access, is_remote, without_secrets
from geoalps.io.scene import open_scene

SHAPE = (1200, 1600)
WINDOW = Window(300, 500, 700, 900)
EVERYTHING = Window(0, 0, *SHAPE)
QUICK = {"GDAL_HTTP_RETRY_DELAY": "0.005"}
"""What a user may set: retries that do not wait."""
UNSIGNED = {"AWS_NO_SIGN_REQUEST": "YES", "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_REGION": "eu-1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A COG with a mask and overviews, a TIFF whose header is spread over the file, and a small scene to label."""
    path = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    values = rng.integers(0, 255, (3, *SHAPE)).astype(np.uint8)
    mask = np.ones(SHAPE, bool)
    mask[:, 600:640] = False
    size = {"driver": "GTiff", "width": SHAPE[1], "height": SHAPE[0], "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(1, 0, 4e5, 0, -1, 5e6)}
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path / "spread.tif", "w", **size, **place, **tiles) as out:
            out.write(values)
            out.write_mask(mask)
        rasterio.shutil.copy(path / "spread.tif", path / "cog.tif", driver="COG", BLOCKSIZE=128, COMPRESS="DEFLATE")
    kinds = rng.integers(20, 236, (3, 12, 12)).repeat(20, 1).repeat(20, 2) + rng.integers(-3, 4, (3, 240, 240))
    with rasterio.open(path / "harbour.tif", "w", **{**size, **place, **tiles, "width": 240, "height": 240}) as out:
        out.write(kinds.astype(np.uint8))
    (path / "bucket").mkdir()
    (path / "bucket" / "cog.tif").symlink_to(path / "cog.tif")
    return path


@pytest.fixture(scope="module")
def running(folder):
    with FaultyServer(folder) as server:
        yield server


@pytest.fixture
def server(running, monkeypatch):
    """Without faults; retries do not wait."""
    running.set()
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    return running


@pytest.fixture(scope="module")
def local(folder):
    return open_scene(folder / "cog.tif")


def same(scene, local, window=WINDOW):
    """Values and validity are those of the local file."""
    (values, valid), (want, mask) = scene.read(window), local.read(window)
    np.testing.assert_array_equal(values, want)
    np.testing.assert_array_equal(valid, mask)
    assert not mask.all()


# By blocks


@pytest.mark.parametrize("form", ["{}", "/vsicurl/{}", "{}?key=SECRET"])
def test_a_window_costs_its_blocks(server, local, folder, form):
    scene = open_scene(form.format(server.url("cog.tif")))
    assert (scene.name, scene.crs, scene.transform) == (local.name, local.crs, local.transform)
    assert scene.source.overviews == local.source.overviews != ()
    assert "SECRET" not in scene.path
    server.set()
    same(scene, local)
    # 5 x 4 of 130 blocks, their masks, and the header
    assert WINDOW.area / EVERYTHING.area * 0.9 < server.sent / (folder / "cog.tif").stat().st_size < 0.25
    assert len(server.asked) < 25
    assert all(span for method, _, span in server.asked if method == "GET")
    same(pickle.loads(pickle.dumps(scene)), local)  # noqa: S301


def test_nothing_beside_the_file_is_asked_for(server):
    open_scene(server.url("cog.tif")).read(WINDOW)
    assert {path for _, path, _ in server.asked} == {"/cog.tif"}


def test_s3(server, local, monkeypatch):
    for name, value in UNSIGNED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.host)
    scene = open_scene("s3://bucket/cog.tif")
    same(scene, local)
    same(open_scene("/vsis3/bucket/cog.tif"), local)
    assert {path for _, path, _ in server.asked} == {"/bucket/cog.tif"}
    assert not scene.changed()
    with pytest.raises(SceneError, match=r"s3://bucket/nope\.tif does not exist"):
        open_scene("s3://bucket/nope.tif")


def test_a_local_vrt_of_remote_parts(server, local, tmp_path):
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", CPL_VSIL_CURL_NON_CACHED="/vsi"):
        rasterio.shutil.copy(server.url("cog.tif"), tmp_path / "all.vrt", driver="VRT")
    server.set(Fault("drop", first=1, blocks_only=True))
    scene = open_scene(tmp_path / "all.vrt")
    assert scene.source.access.remote
    same(scene, local)


# Faults


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503, first=2),
        Fault(500, first=3, blocks_only=True),
        Fault("drop", first=2),
        Fault("drop", first=3, blocks_only=True),
        Fault("drop", share=0.2, seed=3),
        Fault("slow"),
    ],
    ids=str,
)
def test_faults_are_survived(server, local, fault):
    server.set(fault)
    scene = open_scene(server.url("cog.tif"))
    same(scene, local)
    assert scene.fingerprint["etag"] == '"one"'


def test_threads_with_a_bad_connection(server, local):
    scene = open_scene(server.url("cog.tif"))
    server.set(Fault("drop", first=1, blocks_only=True))
    windows = [tile.window for tile in TileGrid(SHAPE, 400, 40)]
    with ThreadPoolExecutor(4) as pool:
        for window, (values, valid) in zip(windows, pool.map(scene.read, windows), strict=True):
            np.testing.assert_array_equal(values, local.read(window)[0])
            np.testing.assert_array_equal(valid, local.read(window)[1])


@pytest.mark.parametrize("kind", ["drop", 500])
def test_what_does_not_arrive_is_never_taken_for_what_is_not_there(server, folder, monkeypatch, kind):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    want = open_scene(folder / "spread.tif")
    ends = []
    for seed in range(10):
        server.set(Fault(kind, share=0.08, seed=seed))
        try:
            same(open_scene(server.url("spread.tif")), want, Window(560, 560, 680, 680))
            ends.append("read")
        except SceneError as error:
            ends.append("refused" if "check the" in str(error) else str(error))
    assert set(ends) <= {"read", "refused"}
    assert "read" in ends


@pytest.mark.parametrize("kind", ["drop", 500])
def test_faults_without_end_are_one_line(server, kind):
    scene = open_scene(server.url("cog.tif") + "?key=SECRET")
    for view in (scene, scene.forgiving()):
        server.set(Fault(kind, blocks_only=True))
        with pytest.raises(SceneError) as error:
            view.read(WINDOW)
        text = str(error.value)
        assert text.startswith(f"{server.url('cog.tif')} cannot be read at rows 300 to 700, columns 500 to 900 (")
        assert "asked 4 times); check the network" in text
        assert "\n" not in text
        assert "SECRET" not in text
        assert error.value.window is None
    server.set()
    assert scene.read(WINDOW)[1].any()


def test_a_server_that_is_down_or_lacks_the_file(server, local):
    server.set(Fault(500))
    with pytest.raises(SceneError, match=r"cog\.tif cannot be reached \(Internal Server Error\); check the address"):
        open_scene(server.url("cog.tif"))
    server.set(Fault(404))
    with pytest.raises(SceneError, match=r"cog\.tif does not exist"):
        open_scene(server.url("cog.tif"))
    assert len(server.asked) < 6
    # It comes back; GDAL by itself would never look again.
    server.set()
    same(open_scene(server.url("cog.tif")), local)
    for url in ("http://127.0.0.1:1/x.tif?key=SECRET", "http://user:SECRET@127.0.0.1:1/x.tif"):
        with pytest.raises(SceneError, match=r"^http://127\.0\.0\.1:1/x\.tif cannot be reached") as error:
            open_scene(url)
        assert "SECRET" not in str(error.value)


def test_a_server_without_ranges(server, folder):
    server.set(Fault("whole"))
    with pytest.raises(SceneError, match=r"gives whole files only, asked for 16 bytes; download it first"):
        open_scene(server.url("cog.tif"))
    assert len(server.asked) == 1


def test_damage_on_the_server_is_forgiven(server, folder):
    data = bytearray((folder / "harbour.tif").read_bytes())
    with rasterio.open(folder / "harbour.tif") as src:
        start, size = (int(src.get_tag_item(f"BLOCK_{name}_3_2", "TIFF", bidx=1)) for name in ("OFFSET", "SIZE"))
    data[start : start + size] = b"\xaa" * size
    (folder / "spoilt.tif").write_bytes(data)
    scene = open_scene(server.url("spoilt.tif")).forgiving()
    whole = Window(0, 0, 240, 240)
    values, valid = scene.read(whole)
    assert scene.unreadable(whole) == [Window(64, 96, 96, 128)]
    np.testing.assert_array_equal(values[:, valid], open_scene(folder / "harbour.tif").read(whole)[0][:, valid])
    assert (~valid).sum() == 32 * 32


# What the server says of the file


def test_the_fingerprint_of_a_remote_file(server, local):
    before = open_scene(server.url("cog.tif")).fingerprint
    assert before["size"] == Path(local.path).stat().st_size
    assert (before["etag"], before["mtime_ns"]) == ('"one"', None)
    assert "digest" not in before
    assert open_scene(server.url("cog.tif") + "?signed=again").fingerprint == before
    scene = open_scene(server.url("cog.tif"))
    assert not scene.changed()
    server.set(etag='"two"')
    assert scene.changed()
    assert scene.fingerprint != before
    server.set(etag="")
    dated = open_scene(server.url("cog.tif")).fingerprint
    assert dated["mtime_ns"] == 1_735_689_600 * 10**9
    server.set(etag="", modified="")
    scene = open_scene(server.url("cog.tif"))
    assert scene.fingerprint["digest"] == scene.fingerprint["digest"]
    assert scene.fingerprint["size"] is None
    assert not scene.changed()


# Settings


def test_the_users_settings_go_first(monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "2")
    monkeypatch.delenv("GDAL_HTTP_RETRY_DELAY", raising=False)
    url = "https://example.com/a.tif"
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"):
        access = Access.to(url)
    assert access.pauses == (0.5, 1.0)
    assert set(SETTINGS) - set(access.settings) == {"GDAL_HTTP_MAX_RETRY", "GDAL_DISABLE_READDIR_ON_OPEN"}
    assert access.url == url
    monkeypatch.setenv("GDAL_HTTP_HEADERS", "Authorization: Bearer x")
    assert Access.to(url).url is None
    assert Access.to("a.tif") == Access({})
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "many")
    with pytest.raises(OptionError, match="GDAL_HTTP_MAX_RETRY is 'many'"):
        Access.to(url)


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("https://a/b.tif", True),
        ("s3://a/b.tif", True),
        ("zip+https://a/b.zip!c.tif", True),
        ("/vsizip/vsicurl/https://a/b.zip/c.tif", True),
        ("/vsicurl?url=https%3A%2F%2Fa", True),
        ("<VRTDataset><SourceFilename>/vsis3/a/b.tif</SourceFilename></VRTDataset>", True),
        ("<VRTDataset><SRS>https://example.com</SRS></VRTDataset>", False),
        ("data/b.tif", False),
        ("/vsizip/b.zip/c.tif", False),
        ("/data/vsicurl.tif", False),
        ('NETCDF:"b.nc":height', False),
    ],
)
def test_what_is_remote(path, remote):
    assert is_remote(path) == remote


def test_secrets():
    assert without_secrets("https://me:pw@a/b.tif?sig=1 is gone") == "https://a/b.tif is gone"
    assert without_secrets("'/vsicurl/https://a/b.tif?sig=1' is gone") == "'/vsicurl/https://a/b.tif' is gone"
    assert without_secrets("data/what?@me.tif") == "data/what?@me.tif"


# The command


def test_the_command_with_a_flaky_server(server, folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "cli")
    from processes import Shell

    options = ("-k", 4, "--tile-size", 128, "--margin", 32, "--workers", 2)
    server.set(Fault("drop", share=0.15, seed=5))
    shell = Shell()
    try:
        remote = shell("tile-label", server.url("harbour.tif"), *options, cwd=tmp_path)
        local = shell("tile-label", folder / "harbour.tif", "-o", "local", *options, cwd=tmp_path)
    finally:
        shell.close()
    assert (remote.code, local.code) == (0, 0), remote.err + local.err
    labels = [tmp_path / name / "labels.tif" for name in ("harbour_labels", "local")]
    with rasterio.open(labels[0]) as one, rasterio.open(labels[1]) as two:
        np.testing.assert_array_equal(one.read(), two.read())
        assert len(np.unique(one.read())) > 2
    assert len(server.asked) > 4
    assert "CPLE" not in remote.err
