"""Standard legends: whole, consistent within themselves, and found by what people call them."""

import re

import pytest

from geoalps.errors import OptionError
from geoalps.io.legends import LEGENDS, Legend, LegendEntry, legend
from geoalps.io.palettes import hex_colour

COUNTS = {"worldcover": 11, "corine": 44, "corine-2": 15, "corine-1": 5, "lccs": 8, "cci": 22}
"""As their publishers count them."""


@pytest.mark.parametrize("name", LEGENDS)
def test_a_legend_is_whole(name):
    one = legend(name)
    assert (one.name, len(one.entries)) == (name, COUNTS[name])
    assert re.search(rf"\b{COUNTS[name]}\b", one.title)
    assert len(one.source) > 20
    for column in ("code", "class_name", "colour"):
        values = [getattr(entry, column) for entry in one.entries]
        assert len(set(values)) == len(values), column
        assert all(value == value.strip() != "" for value in values), column
    assert all(re.fullmatch("#[0-9a-f]{6}", entry.colour) for entry in one.entries)
    codes = [entry.code for entry in one.entries]
    assert codes == sorted(codes, key=lambda code: (len(code), code))


@pytest.mark.parametrize("level", [1, 2])
def test_levels_of_corine_fit_into_one_another(level):
    upper, lowest = legend(f"corine-{level}"), legend("corine")
    assert [entry.code for entry in upper.entries] == sorted({entry.code[:level] for entry in lowest.entries})
    for entry in upper.entries:
        first = next(one for one in lowest.entries if one.code.startswith(entry.code))
        assert entry.colour == first.colour


def test_codes_that_are_numbers_fit_a_raster_of_bytes():
    for name in ("worldcover", "cci"):
        assert all(int(entry.code) % 5 == 0 and 0 < int(entry.code) < 255 for entry in legend(name).entries)


@pytest.mark.parametrize(
    ("name", "code", "class_name", "colour"),
    [
        # by Earth Engine's tables of the same products
        ("worldcover", "10", "Tree cover", (0, 100, 0)),
        ("worldcover", "95", "Mangroves", (0, 207, 117)),
        ("corine", "111", "Continuous urban fabric", (230, 0, 77)),
        ("corine", "312", "Coniferous forest", (0, 166, 0)),
        ("corine", "523", "Sea and ocean", (230, 242, 255)),
        ("cci", "60", "Tree cover, broadleaved, deciduous, closed to open (>15%)", (0, 160, 0)),
        ("cci", "190", "Urban areas", (195, 20, 0)),
    ],
)
def test_some_entries_are_as_published(name, code, class_name, colour):
    assert legend(name).entry(code) == LegendEntry(code, class_name, hex_colour(colour))


@pytest.mark.parametrize("name", LEGENDS)
def test_every_entry_is_found_by_code_and_by_name(name):
    one = legend(name.upper())
    for entry in one.entries:
        dotted = ".".join(entry.code) if name.startswith("corine") else entry.code
        for said in (entry.code, entry.code.lower(), dotted, entry.class_name, f"  {entry.class_name.upper()} "):
            assert one.entry(said) is entry
        if entry.code.isdigit():
            assert one.entry(int(entry.code)) is entry


def test_a_class_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(OptionError, match=r"no class 'tre cover'; did you mean 10 Tree cover") as caught:
        legend("worldcover").entry("tre cover")
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="no class 85; did you mean"):
        legend("worldcover").entry(85)
    with pytest.raises(OptionError, match="no class ''; see them with: geoalps legends cci"):
        legend("cci").entry("")
    with pytest.raises(OptionError, match="no class 'zzzz'; see them with"):
        legend("cci").entry("zzzz")


@pytest.mark.parametrize("name", ["corin", "", "../legends", "nlcd"])
def test_a_legend_that_there_is_not_is_refused_with_those_that_there_are(name):
    with pytest.raises(OptionError, match=", ".join(LEGENDS)):
        legend(name)


def test_a_code_goes_before_a_name():
    one = Legend("own", "own, 2 classes", "own", (LegendEntry("A1", "2", "#000000"), LegendEntry("2", "b", "#111111")))
    assert [one.entry(said).code for said in ("a1", "2", "B")] == ["A1", "2", "2"]
