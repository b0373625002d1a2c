"""Made chips: the same bytes for a seed, truth that is nested and lies on its pixels, every kind by every sensor."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from numpy.random import Generator
from scipy import ndimage

from geoalps.cli import main
from geoalps.errors import OptionError
from geoalps.sample import CHIP_CLASSES, CLASSES, Chip, made_chip
from geoalps.sample.chips import KINDS, SENSORS
from geoalps.sample.chips.kinds import COUNTABLE
from geoalps.sample.chips.look import DIRT, LAWN, PAVING
from geoalps.sample.chips.noises import SIDE, noise, noise_bank
from geoalps.sample.chips.patchwork import Cloth, Cloths, Plane, cover, tin
from geoalps.sample.chips.shanty import shanty
from geoalps.sample.chips.shape import Frame, dense, disc
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.sun import horizon
from geoalps.sample.chips.truth import truth_of

SEEDS = range(40, 56)


@cache
def drawn(seed: int, **options: object) -> Chip:
    return made_chip(seed, **options)  # type: ignore[arg-type]


def digest(chip: Chip) -> str:
    arrays = (chip.image, chip.wholes, chip.parts, chip.classes, chip.things)
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def borders(ids: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right or lower neighbour."""
    edge = np.zeros(ids.shape, bool)
    edge[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    edge[:-1] |= ids[1:] != ids[:-1]
    return edge


def steps(image: np.ndarray) -> np.ndarray:
    """Change of colour to the right and lower neighbour."""
    values = image.astype(float)
    change = np.zeros(image.shape[:2])
    change[:, :-1] += np.abs(np.diff(values, axis=1)).sum(2)
    change[:-1] += np.abs(np.diff(values, axis=0)).sum(2)
    return change


def test_shapes_and_dtypes() -> None:
    chip = made_chip(7, (96, 160))
    assert chip.image.shape == (96, 160, 3)
    assert chip.image.dtype == chip.classes.dtype == np.uint8
    assert chip.wholes.shape == chip.parts.shape == chip.classes.shape == (96, 160)
    assert chip.wholes.dtype == chip.parts.dtype == np.uint16
    assert chip.things.dtype == bool
    assert chip.kind in KINDS
    assert chip.sensor in SENSORS
    assert 0.05 <= chip.pixel_size <= 10


def test_the_first_classes_are_those_of_a_scene() -> None:
    assert CHIP_CLASSES[: len(CLASSES)] == CLASSES
    assert len(set(CHIP_CLASSES)) == len(CHIP_CLASSES)
    assert max(COUNTABLE) < len(CHIP_CLASSES)


ANOTHER = """
import hashlib, sys
from geoalps.sample import made_chip
for seed in map(int, sys.argv[1:]):
    chip = made_chip(seed, 128)
    arrays = (chip.image, chip.wholes, chip.parts, chip.classes, chip.things)
    print(hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
"""


def test_the_same_bytes_in_another_process_and_order() -> None:
    seeds = [9, 3, 12, 5, 2**40 + 1, -3]
    told = subprocess.run(
        [sys.executable, "-c", ANOTHER, *map(str, seeds[::-1])], capture_output=True, text=True, check=True
    )
    here = [digest(made_chip(seed, 128)) for seed in seeds]
    assert told.stdout.split()[::-1] == here
    assert len(set(here)) == len(here)


def test_truth_depends_on_the_place_alone() -> None:
    """What stands there is the same for every sensor; a picture is not."""
    chips = [made_chip(11, 128, kind="urban", sensor=sensor, pixel_size=0.3) for sensor in SENSORS]
    assert len({digest(chip) for chip in chips}) == len(SENSORS)
    for chip in chips[1:]:
        np.testing.assert_array_equal(chip.wholes, chips[0].wholes)
        np.testing.assert_array_equal(chip.parts, chips[0].parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_truth_is_nested_and_whole(seed: int) -> None:
    chip = drawn(seed)
    for ids in (chip.wholes, chip.parts):
        assert np.array_equal(np.unique(ids), np.arange(1, ids.max() + 1)), "compact, and no pixel without one"
    pairs = np.unique(np.stack([chip.parts.ravel(), chip.wholes.ravel()]), axis=1)
    assert pairs.shape[1] == chip.parts.max(), "each part lies in one whole"
    kinds = np.unique(np.stack([chip.wholes.ravel(), chip.classes.ravel()]), axis=1)
    assert kinds.shape[1] == chip.wholes.max(), "a whole has one class"
    assert chip.things.shape == (chip.wholes.max() + 1,)
    assert not chip.things[0]
    assert np.array_equal(chip.things[kinds[0]], np.isin(kinds[1], list(COUNTABLE)))


@pytest.mark.parametrize("seed", list(SEEDS)[::4])
def test_parts_and_pieces_of_ground_are_connected(seed: int) -> None:
    chip = drawn(seed)
    for ids, wanted in (
        (chip.parts, np.arange(1, chip.parts.max() + 1)),
        (chip.wholes, np.flatnonzero(~chip.things)[1:]),
    ):
        for number, box in enumerate(ndimage.find_objects(ids), 1):
            if number in wanted:
                assert ndimage.label(ids[box] == number)[1] == 1


def test_things_have_parts() -> None:
    """Roof faces, decks, crowns in orchards: some wholes of these classes hold several parts."""
    found: dict[str, int] = {}
    for kind in ("urban", "port", "orchard", "sport", "airport"):
        for seed in range(3):
            chip = drawn(seed, kind=kind, pixel_size=0.3)
            whole_of = np.zeros(chip.parts.max() + 1, int)
            whole_of[chip.parts] = chip.wholes
            class_of = np.zeros(chip.wholes.max() + 1, int)
            class_of[chip.wholes] = chip.classes
            number = np.bincount(whole_of[1:])
            for whole in np.flatnonzero(number > 1):
                name = CHIP_CLASSES[class_of[whole]]
                found[name] = max(found.get(name, 0), int(number[whole]))
    assert {"building", "ship", "orchard", "pitch"} <= found.keys()
    assert found["orchard"] > 5


@pytest.mark.parametrize("seed", range(8))
def test_a_roof_of_many_sheets_is_one_whole_with_a_part_a_plane(seed: int) -> None:
    """Sheets that differ strongly are seen and leave no trace in the truth."""
    made = Sheet((120, 120), 0.1, Generator(np.random.PCG64(seed)))
    made.base(DIRT, 10)
    white, dark = ((230.0, 230.0, 230.0), (98.0, 64.0, 48.0))
    sheets = tuple(tin(made.rng, colour, 0.2, 0.1) for colour in (white, dark))
    cloths = Cloths((Cloth(sheets, "single", 0.5, (0.9, 2.0), 1.0),), ())
    shanty(made, Frame(6.0, 6.0, 0.2), (9.0, 7.0), 2.5, "tin", cloths)
    truth = truth_of(made)
    roof = truth.classes == 1
    assert len(np.unique(truth.wholes[roof])) == 1
    assert len(np.unique(truth.parts[roof])) <= 6, "planes, not sheets"
    # From two narrow wings to a crooked rectangle.
    assert 0.4 * 6300 < roof.sum() < 1.1 * 6300
    looks = np.asarray(made.maps()[0])[1::2, 1::2][8:-8, 8:-8]
    bright = np.array([sum(look.colour) for look in made.looks])[looks]
    assert 0.05 < np.mean(bright[roof] < 350) < 0.7
    assert np.mean(bright[roof] > 450) > 0.1


def test_sheets_of_a_face_are_of_several_looks() -> None:
    """Half of all sheets drawn at random from two looks: about a quarter of the face is not of the first."""
    made = Sheet((200, 200), 0.1, Generator(np.random.PCG64(2)))
    made.base(DIRT, 10)
    sheets = tuple(tin(made.rng, colour, 0.2, 0.1) for colour in ((230.0, 230.0, 230.0), (98.0, 64.0, 48.0)))
    plane, face = Plane(3.0), Frame(10.0, 10.0).box(18.0, 16.0)
    made.fill(plane.add(made, sheets[0]), face)
    cover(made, Cloth(sheets, "single", 0.5, (0.9, 2.0), 0.0), face, plane, 0.0)
    looks = np.asarray(made.maps()[0])[1::2, 1::2][8:-8, 8:-8]
    dark = np.array([look.colour == sheets[1].colour for look in made.looks])[looks]
    rows, cols = np.nonzero(dark)
    assert dark.sum() / (180 * 160) == pytest.approx(0.25, abs=0.08)
    assert rows.min() >= 19
    assert rows.max() <= 181
    assert cols.min() >= 9
    assert cols.max() <= 191


def test_a_plane_has_its_height_where_it_is_asked() -> None:
    plane = Plane(4.0, (0.5, -0.25), (2.0, 3.0))
    assert plane.at(np.array([2.0, 3.0])) == 4.0
    assert plane.at(np.array([4.0, 7.0])) == pytest.approx(4.0 + 1.0 - 1.0)


def test_settlements_are_mostly_roofs() -> None:
    chips = [drawn(seed, kind="settlement", sensor="clean", size=160, pixel_size=0.25) for seed in range(8)]
    share = [np.mean(chip.classes == 1) for chip in chips]
    roofs = [len(np.unique(chip.wholes[chip.classes == 1])) for chip in chips]
    assert np.mean(share) > 0.45
    assert min(roofs) >= 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_every_kind_by_every_sensor(kind: str, sensor: str) -> None:
    chip = made_chip(21, 96, kind, sensor)
    assert (chip.kind, chip.sensor) == (kind, sensor)
    assert chip.image.std() > 2, "no flat picture"
    bands = chip.image.astype(int)
    grey = (bands[..., 0] == bands[..., 1]).all() and (bands[..., 1] == bands[..., 2]).all()
    assert grey == (sensor in ("grey", "panchromatic", "sar"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pixel_size", [0.1, 1.0, 10.0])
def test_every_kind_at_other_pixel_sizes(kind: str, pixel_size: float) -> None:
    chip = made_chip(5, 96, kind, "clean", pixel_size)
    assert chip.pixel_size == pixel_size
    assert chip.parts.max() > 1


def test_the_image_changes_where_truth_does() -> None:
    """On the borders of wholes the picture changes more than beside them, and than on some other chip's borders."""
    for kind in KINDS:
        on, elsewhere, chance = [], [], []
        for seed in range(4):
            chip = drawn(seed, kind=kind, sensor="clean", size=160)
            edge, change = borders(chip.wholes), steps(chip.image)
            other = borders(drawn(seed + 1, kind=kind, sensor="clean", size=160).wholes)
            on.append(change[edge])
            elsewhere.append(change[~edge])
            chance.append(change[other])
        mean = [np.concatenate(values).mean() for values in (on, elsewhere, chance)]
        assert mean[0] > 1.35 * mean[1], kind
        assert mean[0] > 1.25 * mean[2], kind


def test_no_kind_is_dull() -> None:
    for kind in KINDS:
        chips = [drawn(seed, kind=kind, sensor="clean", size=160) for seed in range(4)]
        assert np.median([np.bincount(c.wholes.ravel()).max() / c.wholes.size for c in chips]) < 0.9, kind
        assert len({len(np.unique(c.wholes)) for c in chips}) > 1, kind


def test_most_classes_occur() -> None:
    seen = set()
    for seed in range(4):
        for kind in KINDS:
            seen |= set(np.unique(drawn(seed, kind=kind, sensor="clean", size=160).classes).tolist())
    assert len(seen) >= len(CHIP_CLASSES) - 4, [name for n, name in enumerate(CHIP_CLASSES) if n not in seen]


def sheet(pixel: float = 0.5) -> Sheet:
    return Sheet((64, 80), pixel, Generator(np.random.PCG64(1)))


def test_a_disc_has_its_size_and_place() -> None:
    made = sheet()
    made.base(LAWN, 9)
    made.lay(disc(22.0, 15.0, 9.0, 60), PAVING, 1)
    inside = truth_of(made).classes == 1
    rows, cols = np.nonzero(inside)
    assert inside.sum() * 0.25 == pytest.approx(np.pi * 81, rel=0.06)
    assert (cols.mean() + 0.5) * 0.5 == pytest.approx(22.0, abs=0.15)
    assert (rows.mean() + 0.5) * 0.5 == pytest.approx(15.0, abs=0.15)


def test_paint_is_no_truth_and_crumbs_are_swept() -> None:
    made = sheet()
    made.base(LAWN, 9)
    made.mark(PAVING, [Frame(20, 16).box(10, 6)])
    made.lay(Frame(10, 10).box(1.0, 0.6), PAVING, 8)  # too small a piece of ground
    truth = truth_of(made)
    assert np.unique(truth.wholes).tolist() == np.unique(truth.parts).tolist() == [1]
    looks, _ = made.maps()
    assert len(np.unique(looks)) == 3


def test_a_thing_crossed_by_another_stays_one_and_ground_does_not() -> None:
    made = sheet()
    made.base(LAWN, 9)
    made.lay(Frame(20, 10).box(30, 6), PAVING, 1)
    made.lay(Frame(20, 22).box(30, 6), PAVING, 8)
    made.lay(Frame(20, 16).box(4, 40), PAVING, 2)
    truth = truth_of(made)
    assert len(np.unique(truth.wholes[truth.classes == 1])) == 1
    assert len(np.unique(truth.parts[truth.classes == 1])) == 2
    assert len(np.unique(truth.wholes[truth.classes == 8])) == 2


def test_a_bend_moves_places_as_outlines() -> None:
    made = sheet()
    made.base(LAWN, 9)
    made.bend(3.0, 40.0)
    straight = Frame(20, 16, 0.3).box(24, 4)
    made.lay(straight, PAVING, 1)
    moved = np.array([made._bent_place(x, y) for x, y in dense(straight, 1.0, True)])
    np.testing.assert_allclose(moved, made._bent(dense(straight, 1.0, True)), atol=1e-9)
    x, y = (moved / made.pixel - 0.5).T
    near = ndimage.binary_dilation(borders((truth_of(made).classes == 1).astype(int)), iterations=2)
    assert near[np.rint(y).astype(int), np.rint(x).astype(int)].mean() > 0.97
    assert made.kind_at(20, 16) == 1


@pytest.mark.parametrize(("azimuth", "towards"), [(0.0, (0, 1)), (np.pi / 2, (1, 0)), (np.pi, (0, -1))])
def test_horizon_is_that_of_every_ray(azimuth: float, towards: tuple[int, int]) -> None:
    """Against stepping along each ray."""
    height = np.random.default_rng(3).uniform(0, 12, (40, 50)).astype(np.float32)
    expected = height.copy()
    for step in range(1, 50):
        for row in range(40):
            for col in range(50):
                r, c = row + step * towards[0], col + step * towards[1]
                if 0 <= r < 40 and 0 <= c < 50:
                    expected[row, col] = max(expected[row, col], height[r, c] - 0.5 * step)
    np.testing.assert_allclose(horizon(height, azimuth, 0.5), expected, atol=1e-4)


def test_noise_is_periodic_standard_and_not_to_be_written_on() -> None:
    bank = noise_bank(4)
    assert abs(bank.mean()) < 0.02
    assert bank.std() == pytest.approx(1, abs=0.02)
    assert np.abs(bank[0] - bank[-1]).mean() < 2 * np.abs(bank[1] - bank[0]).mean(), "the ends fit"
    piece = noise(Generator(np.random.PCG64(5)), (SIDE, SIDE), 4)
    assert np.sort(piece.ravel())[::997] == pytest.approx(np.sort(bank.ravel())[::997])
    with pytest.raises(ValueError, match="read-only"):
        bank[0, 0] = 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": 20}, "32 to 1024"),
        ({"size": (64, 4000)}, "32 to 1024"),
        ({"kind": "moon"}, "urban"),
        ({"sensor": "eye"}, "panchromatic"),
        ({"pixel_size": 0.01}, "0.05 to 10"),
        ({"pixel_size": 0.0}, "0.05 to 10"),
        ({"pixel_size": float("nan")}, "0.05 to 10"),
    ],
)
def test_refuses_in_one_line(options: dict[str, object], told: str) -> None:
    with pytest.raises(OptionError, match=told) as caught:
        made_chip(1, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_command_writes_what_is_drawn(tmp_path) -> None:
    out = tmp_path / "chips"
    options = ["-n", "2", "--seed", "30", "--size", "64", "--kind", "port", "--sensor", "grey", "--pixel-size", "0.5"]
    command = [sys.executable, "-m", "geoalps", "sample-chips", str(out), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = ("", "_whole", "_part", "_class")
    assert {p.name for p in out.iterdir()} == {f"chip_{n}{end}.tif" for n in (30, 31) for end in ends}
    chip = made_chip(31, 64, "port", "grey", 0.5)
    arrays = (np.moveaxis(chip.image, -1, 0), chip.wholes[None], chip.parts[None], chip.classes[None])
    for end, expected in zip(ends, arrays, strict=True):
        with rasterio.open(out / f"chip_31{end}.tif") as file:
            np.testing.assert_array_equal(file.read(), expected)
            assert file.res == (0.5, 0.5)
            assert file.tags()["SAMPLE_SEED"] == "31"
            if end == "_class":
                assert file.tags(1)["CLASS_1"] == "building"
    again = CliRunner().invoke(main, ["sample-chips", str(out), "--seed", "31", "--size", "64"])
    assert again.exit_code == 1
    assert "--overwrite" in again.output


def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path) -> None:
    done = CliRunner().invoke(main, ["sample-chips", str(tmp_path / "chips"), "--kind", "moon"])
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
    assert "moon" in done.output
    assert not (tmp_path / "chips").exists()
