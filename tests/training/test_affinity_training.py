"""Training of the affinity network: the truth it is asked for, the batches it sees, and that nothing is by chance."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geoalps.errors import CheckpointError, OptionError
from geoalps.models.affinities import OFFSETS, STEP
from geoalps.models.affinity_net import AffinityNet, load_net, save_net
from geoalps.sample.chips import made_chip
from geoalps.training import affinity
from geoalps.training.affinity import (
    AUXILIARY,
    LONG_OFFSETS,
    PART_OFFSETS,
    affinity_loss,
    learning_rate,
    pair_loss,
    train_affinity,
)
from geoalps.training.chips import (
    DENSE,
    EVERY,
    Batch,
    Chips,
    blurred,
    draw_chips,
    drawn_batch,
    example,
    sizes_of,
    turned,
    zoomed,
)


@pytest.fixture(scope="module")
def chips():
    """A dozen small chips."""
    return draw_chips(range(12), 64, 1)


@pytest.fixture(scope="module")
def trained(chips):
    """A network trained a little, and the losses on the way."""
    losses = []
    return train_affinity(chips, 60, 3, losses.append), losses


def blocks(side=64, block=16):
    """(side, side) uint16 labels 1, 2, ... of square blocks, by chance."""
    ids = np.random.default_rng(0).permutation((side // block) ** 2).reshape(side // block, -1) + 1
    return np.kron(ids, np.ones((block, block), int)).astype(np.uint16)


def coloured(labels):
    """(h, w, 3) uint8: a grey of its own for every label."""
    levels = np.linspace(40, 215, labels.max() + 1).astype(np.uint8)
    return np.repeat(levels[labels][..., None], 3, 2)


def block_batch(labels):
    """A batch of one picture of labels."""
    diameters, inside = sizes_of(labels)
    pictures = torch.from_numpy(coloured(labels)).permute(2, 0, 1)[None].float() / 255
    wholes = torch.from_numpy(labels.astype(np.int32))[None]
    things = torch.from_numpy((labels % 2).astype(np.float32))[None]
    known = torch.from_numpy(inside.astype(np.float32))[None]
    return Batch(pictures, wholes, wholes // 2, things, torch.from_numpy(diameters)[None], known)


def outside(labels, row, col, offset):
    """The pair's other pixel, or None out of the picture."""
    row, col = row + offset[0], col + offset[1]
    return (row, col) if 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1] else None


def same_by_pixel(labels, offset):
    """(h, w) 1 where the pair at an offset has one label, -1 where it has two, 0 where it leaves the picture."""
    out = np.zeros(labels.shape, np.float32)
    for row, col in np.ndindex(*labels.shape):
        other = outside(labels, row, col, offset)
        if other:
            out[row, col] = 1 if labels[row, col] == labels[other] else -1
    return out


def true_maps(batch):
    """What a network that knows everything says of a batch: logits and auxiliary maps."""
    wholes, parts, things = (v[0, ::STEP, ::STEP].numpy() for v in (batch.wholes, batch.parts, batch.things))
    pairs = [same_by_pixel(wholes, offset) for offset in (*OFFSETS, *LONG_OFFSETS)]
    part_pairs = [same_by_pixel(parts, offset) for offset in PART_OFFSETS]
    size = batch.diameters[0, ::STEP, ::STEP].numpy() - affinity.USUAL_SIZE
    maps = torch.from_numpy(np.stack([*pairs, *part_pairs, 2 * things - 1, size])[None]).float()
    maps[:, :-1] *= 40
    return maps[:, : len(OFFSETS)], maps[:, len(OFFSETS) :]


def test_sizes_of_wholes_against_counting():
    labels = np.array([[1, 1, 2, 2], [1, 3, 3, 2], [1, 3, 4, 2], [2, 2, 2, 2]], np.uint16)
    diameters, inside = sizes_of(labels)
    for place in np.ndindex(*labels.shape):
        mine = [other for other in np.ndindex(*labels.shape) if labels[other] == labels[place]]
        assert diameters[place] == pytest.approx(math.log2(2 * math.sqrt(len(mine) / math.pi)))
        assert inside[place] == (not any({0, 3} & set(other) for other in mine))


@pytest.mark.parametrize("offset", [*OFFSETS, LONG_OFFSETS[2], LONG_OFFSETS[3]])
def test_loss_of_pairs_against_a_loop(offset):
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(1, 4, (6, 7)), np.ones((2, 2), int))
    logits, weight = rng.normal(size=labels.shape), rng.uniform(0.5, 2, labels.shape)
    total = norm = 0.0
    for row, col in np.ndindex(*labels.shape):
        other = outside(labels, row, col, offset)
        if other is None:
            continue
        same = labels[row, col] == labels[other]
        rare = 1.0 if same else {1: 3.0, 3: 2.0, 8: 1.5}[max(map(abs, offset))]
        chance = 1 / (1 + math.exp(-logits[row, col]))
        total -= rare * weight[row, col] * math.log(chance if same else 1 - chance)
        norm += rare * weight[row, col]
    given = (torch.from_numpy(values)[None] for values in (logits, labels, weight))
    asked, truth, weights = given
    assert pair_loss(asked, truth, offset, weights).item() == pytest.approx(total / norm)


def test_a_network_that_knows_everything_has_no_loss_and_every_map_counts():
    batch = block_batch(blocks(96, 16))
    logits, auxiliary = true_maps(batch)
    assert auxiliary.shape[1] == AUXILIARY
    assert affinity_loss(logits, auxiliary, batch).item() < 1e-6
    for number in range(len(OFFSETS)):
        wrong = logits.clone()
        wrong[:, number] *= -1
        assert affinity_loss(wrong, auxiliary, batch).item() > 10
    for number in range(AUXILIARY):
        wrong = auxiliary.clone()
        wrong[:, number] = -wrong[:, number] if number < AUXILIARY - 1 else wrong[:, number] + 3
        assert affinity_loss(logits, wrong, batch).item() > 1


def test_sizes_that_the_frame_cuts_do_not_count():
    batch = block_batch(blocks(96, 16))
    logits, auxiliary = true_maps(batch)
    inside = batch.inside[:, ::STEP, ::STEP]
    auxiliary[:, -1] += 3 * (1 - inside)
    assert 0 < inside.mean() < 1
    assert affinity_loss(logits, auxiliary, batch).item() < 1e-6


@pytest.mark.parametrize(("side", "top", "left"), [(32, 0, 0), (40, 24, 3), (48, 7, 16)])
def test_zoom_keeps_truth_and_picture_together(side, top, left):
    labels = blocks()
    batch = zoomed(block_batch(labels), side, top, left)
    ids = batch.wholes[0].numpy()
    levels = batch.pictures[0, 0].numpy() * 255
    # bilinear pictures mix the two colours within two pixels of a border
    plain = np.ones(ids.shape, bool)
    for down, along in np.ndindex(5, 5):
        plain &= np.roll(ids, (down - 2, along - 2), (0, 1)) == ids
    known = np.linspace(40, 215, labels.max() + 1).astype(np.uint8)[ids]
    assert plain.mean() > 0.3
    np.testing.assert_allclose(levels[plain], known[plain], atol=0.51)
    np.testing.assert_array_equal(batch.parts[0].numpy(), ids // 2)
    np.testing.assert_array_equal(batch.things[0].numpy(), ids % 2)
    np.testing.assert_allclose(batch.diameters.numpy(), math.log2(2 * 16 / math.sqrt(math.pi) * 64 / side), rtol=1e-5)
    assert ids[0, 0] == labels[top, left]
    assert ids[-1, -1] == labels[top + side - 1, left + side - 1]


def test_turns_and_light_keep_truth_and_picture_together():
    labels = blocks()
    flags = np.arange(labels.max() + 1) % 3 == 0
    chips = Chips(coloured(labels)[None], labels[None], labels[None] // 2, flags[None])
    seen = set()
    for seed in range(24):
        picture, wholes, parts, things, diameters, inside = example(chips, 0, np.random.default_rng(seed))
        seen.add(wholes[[0, 0, -1], [0, -1, 0]].tobytes())
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 1
        middle = np.array([np.median(picture[wholes == one], 0) for one in range(1, labels.max() + 1)])
        spread = np.abs(picture - middle[wholes - 1])
        assert spread.mean() < 0.04  # the noise, and nothing of other blocks
        np.testing.assert_array_equal(parts, wholes // 2)
        np.testing.assert_array_equal(things, flags[wholes])
        np.testing.assert_array_equal(np.stack([diameters, inside]), np.stack(sizes_of(wholes.astype(np.uint16))))
    assert len(seen) == 8


def test_eight_turns_are_the_symmetries_of_a_square():
    corners = np.arange(9).reshape(3, 3)
    all_turns = {turned(corners, turn).tobytes() for turn in range(8)}
    assert len(all_turns) == 8
    assert corners.T.tobytes() in all_turns


def test_blur_is_the_mean_of_neighbours():
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for wide, first, last in ((True, -1, 2), (False, 0, 2)):
        mean = picture[0, 1, 3 + first : 3 + last, 4 + first : 4 + last].mean()
        assert blurred(picture, wide)[0, 1, 3, 4] == pytest.approx(mean.item())
        assert blurred(picture, wide).shape == picture.shape


def test_a_batch_is_what_the_network_takes(chips):
    batch = drawn_batch(chips, np.random.default_rng(0))
    assert batch.pictures.shape == (8, 3, 64, 64)
    assert batch.pictures.dtype == torch.float32
    assert {values.shape for name, values in vars(batch).items() if name != "pictures"} == {(8, 64, 64)}


def test_chips_are_those_of_their_seeds_without_radar_whoever_draws_them(chips):
    drawn = [made_chip(seed, 64, None if seed % EVERY else DENSE) for seed in range(40)]
    kept = [chip for chip in drawn if chip.sensor != "sar"]
    assert 0 < len(kept) < len(drawn)
    ticks = []
    together = draw_chips(range(40), 64, 2, lambda: ticks.append(1))
    assert len(together) == len(kept)
    assert len(ticks) == 40
    for number, chip in enumerate(kept):
        np.testing.assert_array_equal(together.images[number], chip.image)
        np.testing.assert_array_equal(together.wholes[number], chip.wholes)
        np.testing.assert_array_equal(together.parts[number], chip.parts)
        np.testing.assert_array_equal(together.things[number][: len(chip.things)], chip.things)
        assert not together.things[number][len(chip.things) :].any()
    np.testing.assert_array_equal(together.images[: len(chips)], chips.images)


@pytest.mark.parametrize(("seeds", "size", "workers"), [((), 64, 1), ((1,), 65, 1), ((1,), 32, 1), ((1,), 64, 0)])
def test_chips_that_cannot_be_learnt_from_are_refused(seeds, size, workers):
    with pytest.raises(OptionError, match="at least"):
        draw_chips(seeds, size, workers)


def test_training_without_steps_or_chips_is_refused(chips):
    none = Chips(chips.images[:0], chips.wholes[:0], chips.parts[:0], chips.things[:0])
    for given, steps in ((chips, 0), (none, 1)):
        with pytest.raises(OptionError, match="at least 1"):
            train_affinity(given, steps, 0)


def test_the_loss_falls(trained):
    losses = trained[1]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])


def test_the_same_seed_gives_the_same_network_and_another_one_another(chips):
    before = torch.get_rng_state(), torch.get_num_threads()
    one, same, other = (train_affinity(chips, 3, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.get_num_threads()


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [learning_rate(step, 1000) for step in range(1001)]
    assert np.argmax(rates) == pytest.approx(100, abs=2)
    assert rates[0] == rates[-1] == pytest.approx(affinity.LAST_RATE)
    assert all(np.diff(rates[101:]) < 0)


def test_the_average_forgets_its_start():
    net = torch.nn.Linear(1, 1)
    mean = {name: torch.full_like(value, 100.0) for name, value in net.state_dict().items()}
    for step in range(1, 400):
        affinity._remember(mean, net, step)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(mean[name], value, atol=1e-3, rtol=0)


def test_folded_is_the_same_function():
    torch.manual_seed(0)
    net = AffinityNet(trainable=True)
    pictures = torch.rand(2, 3, 64, 64)
    for _ in range(5):
        net(pictures + 0.1 * torch.randn(2, 3, 64, 64))  # moves the running means
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    with torch.no_grad():
        torch.testing.assert_close(net.folded()(pictures), net.eval()(pictures), atol=1e-4, rtol=1e-4)


def test_saved_and_loaded_is_the_same_up_to_half_precision(trained, tmp_path):
    net = trained[0]
    save_net(net, tmp_path / "net", {"seed": 3})
    loaded = load_net(tmp_path / "net").state_dict()
    for name, value in net.state_dict().items():
        assert torch.equal(loaded[name], value.half().float())


def damaged(path, how):
    """Spoil the file of a network."""
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "foreign":
        path.write_bytes(b"GIF89a, or anything else that is no network" * 9)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other":
        save_file({"weight": torch.zeros(3)}, path)
    else:
        tensors = {name: torch.full_like(value, math.nan) for name, value in AffinityNet().state_dict().items()}
        save_file(tensors, path)


@pytest.mark.parametrize("how", ["missing", "truncated", "foreign", "empty", "other", "nan"])
def test_a_file_that_holds_no_network_is_refused_in_one_line(how, trained, tmp_path):
    path = tmp_path / "net.safetensors"
    save_net(trained[0], path, {})
    damaged(path, how)
    with pytest.raises(CheckpointError) as caught:
        load_net(path)
    told = str(caught.value)
    assert str(path) in told
    assert "python -m geoalps.training" in told
    assert "\n" not in told
