import pytest
from scenes import SCENES, TILED, check_product, hole, pixels_of, plain, with_nodata, write


@pytest.mark.parametrize("kind", SCENES)
def test_any_scene_gives_a_whole_product(geoalps, tmp_path, kind):
    made = SCENES[kind](tmp_path / "scene.tif")
    k = 5 if made.valid.size > 1000 else 1
    done = geoalps("-q", "tile-label", made.path, "-o", tmp_path / "out", "-k", k, *TILED)
    assert (done.code, done.out, done.err) == (0, f"{tmp_path / 'out'}\n", "")
    layer, run = check_product(made, tmp_path / "out", k)
    assert run["counts"]["tiles"] == -(-made.valid.shape[0] // 128) * -(-made.valid.shape[1] // 128)
    assert len(layer) > 10 or made.valid.size < 1000
