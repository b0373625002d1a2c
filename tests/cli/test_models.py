import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from geoalps.cli import main
from geoalps.models.catalogue import CATALOGUE, known


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path))
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["models", *arguments])
    assert result.exit_code == code, result.output
    return result


def put(name):
    """A model in the cache, as far as a list looks."""
    model = known(name)
    if model.repository is None:
        model.path.parent.mkdir(exist_ok=True)
        with model.path.open("wb") as file:
            file.truncate(model.size)
    else:
        model.path.mkdir(parents=True)
        (model.path / "sha256.json").write_text("{}")
    return model


def test_the_list_has_every_model_and_where_it_is():
    put("vit_b")
    put("dinov2-base")
    head, *lines = run().output.splitlines()
    assert head.split() == ["NAME", "RUN", "BY", "SIZE", "LICENCE", "WHERE"]
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    where = {line.split()[0]: line.split()[-1] for line in lines}
    there = {"vit_b", "dinov2-base"}
    assert where == {n: str(m.path) if n in there else m.address for n, m in CATALOGUE.items()}
    (sam3,) = (line for line in lines if line.startswith("sam3 "))
    assert "--segmenter sam-hub" in sam3
    assert "SAM License, gated" in sam3
    (vit_b,) = (line for line in lines if line.startswith("vit_b "))
    assert " 375 MB " in vit_b


def test_json_says_the_same():
    put("sam2.1-tiny")
    told = {model["name"]: model for model in json.loads(run("--json").output)}
    assert list(told) == list(CATALOGUE)
    assert [name for name, model in told.items() if model["cached"]] == ["sam2.1-tiny"]
    assert told["sam2.1-tiny"]["plugin"] == "sam-hub"
    assert told["sam2.1-tiny"]["sha256"] is None
    assert told["dinov3-vitl16-sat"]["address"] == "https://huggingface.co/facebook/dinov3-vitl16-pretrain-sat493m"


def test_half_a_checkpoint_is_not_there():
    model = put("vit_l")
    with model.path.open("wb") as file:
        file.truncate(model.size - 1)
    assert not model.is_there


def test_where():
    said = run("where", "dinov2-base", code=1)
    assert "is not in the cache" in said.output
    assert "geoalps models fetch dinov2-base" in said.output
    model = put("dinov2-base")
    assert run("where", "dinov2-base").output == f"{model.path}\n"


def test_fetch_prints_the_path_and_says_what_it_trusts(monkeypatch):
    asked = []
    monkeypatch.setattr("geoalps.models.catalogue.fetch", lambda name, progress: asked.append(progress) or "/there")
    result = run("fetch", "sam2.1-tiny")
    assert result.stdout == "/there\n"
    assert "Apache-2.0, from https://huggingface.co/facebook/sam2.1-hiera-tiny" in result.stderr.replace("\n", " ")
    assert "trusted" in result.stderr
    assert "trusted" not in run("fetch", "vit_b").stderr
    quiet = CliRunner().invoke(main, ["-q", "models", "fetch", "sam2.1-tiny"])
    assert (quiet.stdout, quiet.stderr) == ("/there\n", "")
    assert run("fetch", "sam2.1-tiny", "-q").stderr == ""
    assert asked == [True, True, False, False]


@pytest.mark.parametrize("what", ["fetch", "where"])
def test_an_unknown_name_is_one_line(what):
    said = run(what, "sam9", code=1).output
    assert said.count("\n") == 1
    assert said.startswith("Error: there is no model 'sam9'; known are vit_b,")


def test_help_has_examples():
    for arguments in (["--help"], ["fetch", "--help"], ["where", "--help"]):
        assert "Example" in run(*arguments).output
    assert "models" in CliRunner().invoke(main, ["--help"]).output


def test_the_list_loads_no_network():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom geoalps.cli import main\n"
        "assert CliRunner().invoke(main, ['models']).exit_code == 0\n"
        "print([n for n in ('torch', 'transformers', 'timm', 'huggingface_hub', 'pandas') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
