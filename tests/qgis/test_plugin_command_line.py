"""Command lines of the plugin: what geoalps itself understands of them."""

from importlib import import_module

import pytest
from geoalps_processing import command_line
from geoalps_processing.command_line import OptionsError, arguments, further, written
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = {"tile-label": command_line.TILE_LABEL, "relabel": command_line.RELABEL,
           "evaluate": command_line.EVALUATE, "export": command_line.EXPORT}  # fmt: skip
TOLD_IN_HELP = {"GRANULARITY", "DEVICE"}
"""Options without a default of their own, whose help says what it comes to."""


def shell(name):
    return import_module(f"geoalps.cli.{name.replace('-', '_')}").command


def understood(line):
    """Parameters as the command of geoalps parses them."""
    name, *args = line
    with shell(name).make_context(name, args, resilient_parsing=False) as context:
        return context.params


LEAST = {"tile-label": ["s.tif"], "relabel": ["p"], "evaluate": ["p", "t"], "export": ["p", "-f", "coco", "-o", "o"]}
"""What a command needs at least."""


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_one_of_the_command_with_its_default(name):
    known = {flag: param for param in shell(name).params for flag in (*param.opts, *param.secondary_opts)}
    defaults = understood([name, *LEAST[name]])
    for option in OPTIONS[name]:
        param = known[option.flag]
        if option.name in TOLD_IN_HELP:
            assert f"[default: {written(option.default)}]" in param.help
        elif not param.required:
            assert defaults[param.name] == option.default or (defaults[param.name], option.default) == ((), None)
        assert isinstance(option.default, bool) == bool(param.is_flag), option


def test_defaults_and_empty_values_are_left_out():
    values = {option.name: option.default for option in command_line.TILE_LABEL}
    assert command_line.tile_label("s.tif", "out", values) == ["tile-label", "--output=out", "--", "s.tif"]
    assert arguments(command_line.TILE_LABEL, {"BANDS": "", "CLASSES": "16", "SEED": 0.0}) == []


def test_values_arrive(tmp_path):
    values = {
        "CLASSES": "auto",
        "GRANULARITY": 0.5,
        "TILE_SIZE": 512,
        "MARGIN": 0,
        "BANDS": " 4,3,2 ",
        "NODATA": -9999.0,
        "MIN_AREA": 0.0,
        "SIMPLIFY": 2.5,
        "OVERWRITE": True,
        "ADAPT": False,
        "SEGMENTER": "sam",
    }
    line = command_line.tile_label("-odd name.tif", "out folder", values, "--percentiles 1 99 --option a='x y'")
    found = understood(line)
    assert found["scenes"] == ("-odd name.tif",)
    assert str(found["output"]) == "out folder"
    assert (found["classes"], found["granularity"], found["tile_size"], found["margin"]) == ("auto", 0.5, 512, 0)
    assert (found["bands"], found["nodata"], found["min_area"], found["simplify"]) == ((4, 3, 2), -9999, 0, 2.5)
    assert (found["overwrite"], found["adapt"], found["segmenter"]) == (True, False, "sam")
    assert found["percentiles"] == (1, 99)
    assert found["options"] == (("a", "x y"),)


def test_a_class_model_has_classes_of_its_own(tmp_path):
    line = command_line.tile_label("s.tif", "out", {"CLASSES": "8", "CLASS_MODEL": str(tmp_path)})
    assert understood(line)["class_model"] == tmp_path
    assert not any(word.startswith("--classes") for word in line)


def test_the_other_commands(tmp_path):
    found = understood(command_line.relabel("p", "t.csv", {"DISSOLVE": True, "LEGEND": "corine", "RESET": False}))
    assert (str(found["product"]), str(found["table"]), found["dissolve"], found["legend"]) == (
        "p",
        "t.csv",
        True,
        "corine",
    )
    assert understood(command_line.relabel("p", None, {}))["table"] is None
    line = command_line.evaluate("p", "t.gpkg", "samples", "o.json", {"IGNORE": ("0", "-1"), "FIELD": "kind"})
    found = understood(line)
    assert (found["truth"], found["layer"], found["ignore"], found["field"]) == (
        "t.gpkg",
        "samples",
        ("0", "-1"),
        "kind",
    )
    found = understood(command_line.export("p", "o", {"FORMAT": "coco", "CHIP_SIZE": 64}, "--min-cover 0.5"))
    assert (found["form"], found["chip_size"], found["min_cover"]) == ("coco", 64, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--a 'b", "close the quote"),
        ("value", "begin with 'value'"),
        ("-o x", "which the plugin gives itself"),
        ("-ox", "which the plugin gives itself"),
        ("--seed 1 --output=x", "which the plugin gives itself"),
        ("-q", "which the plugin gives itself"),
        ("--percentiles 1 99 -- other.tif", "hold --, which the plugin gives itself"),
        ("--dry-run", "makes nothing to load"),
    ],
)
def test_further_options_that_cannot_be(text, said):
    with pytest.raises(OptionsError, match=said):
        further(text)


def test_further_options_of_windows_and_none():
    assert further(r"--checkpoint 'C:\new models\sam.pth'") == ["--checkpoint", r"C:\new models\sam.pth"]
    assert further("") == further(None) == []


@given(st.text())
def test_any_text_gives_words_or_one_line(text):
    try:
        words, said = further(text), ""
    except OptionsError as error:
        words, said = [], str(error)
    assert len(said.splitlines()) <= 1
    assert not words or words[0].startswith("-")
