"""The recommendation: the mixture's number within bounds, curves that are what they say, a table and a plot."""

import json

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from geoalps.errors import OptionError
from geoalps.labeling import class_count
from geoalps.labeling.class_count import Row, suggest


def kinds(k, each=60, d=5, seed=0, apart=9.0):
    """(k * each, d) float32 of k well separate kinds, in mixed order."""
    rng = np.random.default_rng(seed)
    centres = apart * np.stack(np.unravel_index(rng.permutation(3**d)[:k], (3,) * d), 1)
    return rng.permutation(np.repeat(centres, each, 0) + rng.normal(size=(k * each, d))).astype(np.float32)


def peaks(suggestion):
    """Numbers of classes at which the two curves are highest."""
    return [max(suggestion.rows, key=lambda row: getattr(row, name)).k for name in ("silhouette", "stability")]


@pytest.mark.parametrize("k", [3, 7])
def test_separate_kinds_are_recommended_and_both_curves_agree(k):
    found = suggest(kinds(k), largest=12)
    assert found.k == k
    assert found.counts == (k, k, k)
    assert peaks(found)[0] == k
    assert "both are near" in found.reason
    at_k = next(row for row in found.rows if row.k == k)
    assert at_k.stability == pytest.approx(1.0)


def test_the_silhouette_is_that_of_k_means():
    x = kinds(4)
    rows = {row.k: row for row in suggest(x, largest=6).rows}
    labels = KMeans(4, n_init=5, random_state=0).fit_predict(x)
    assert rows[4].silhouette == pytest.approx(silhouette_score(x, labels), abs=1e-6)
    centres = np.stack([x[labels == c].mean(0) for c in range(4)])
    left = ((x - centres[labels]) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert rows[4].spread == pytest.approx(left, rel=1e-4)
    assert sorted(rows) == [2, 3, 4, 5, 6]


def test_the_order_of_the_objects_changes_nothing():
    x = kinds(5, apart=3.0)
    assert suggest(x, largest=8) == suggest(x[::-1].copy(), largest=8)


@pytest.mark.parametrize(
    ("counted", "smallest", "largest", "k", "text"),
    [
        ((1,), 2, 9, 2, "1 kind of objects (one run), and 2 is the smallest number allowed"),
        ((50, 70, 60), 2, 9, 9, "60 kinds of objects (50 to 70 in 3 runs), and 9 is the largest number allowed"),
        ((4, 6, 5), 2, 9, 5, "5 kinds of objects (4 to 6 in 3 runs);"),
        ((4,), 6, 9, 6, "and 6 is the smallest number allowed"),
    ],
)
def test_what_the_mixture_counts_is_recommended_within_the_bounds(counted, smallest, largest, k, text):
    asked = []

    def mixture(values, seed):
        asked.append((values.shape, seed))
        return counted

    x = kinds(3)
    found = suggest(x, smallest=smallest, largest=largest, seed=8, mixture=mixture)
    assert asked == [(x.shape, 8)]
    assert found.k == k
    assert text in found.reason
    assert found.counts == tuple(sorted(counted))
    assert "\n" not in found.reason


def test_a_recommendation_between_the_tried_numbers_is_tried_too(monkeypatch):
    monkeypatch.setattr(class_count, "FINE", 4)
    found = suggest(kinds(3), largest=14, mixture=lambda *_: (7,))
    assert [row.k for row in found.rows] == [2, 3, 4, 7, 8, 12]


@pytest.mark.parametrize(
    ("silhouette", "stability", "verdict"),
    [(10, 11, "both are near"), (2, 11, "only stability is near"), (7, 20, "only silhouette is near"),
     (2, 20, "neither is near")],
)  # fmt: skip
def test_the_reason_says_whether_the_curves_agree(silhouette, stability, verdict):
    rows = tuple(Row(k, float(k == silhouette), float(k == stability), 0.1) for k in range(2, 24))
    text = class_count._reason(9, (9,), rows)
    assert verdict in text
    assert f"highest at {silhouette} classes and stability at {stability}" in text


def test_more_than_half_of_the_different_objects_are_never_recommended():
    few = np.repeat(np.arange(9, dtype=np.float32), 40)[:, None] * 5
    found = suggest(few, mixture=lambda *_: (30,))
    assert found.k == 4
    assert max(row.k for row in found.rows) == 4


def test_rare_kinds_in_many_equal_objects_do_not_stop_the_halves():
    x = np.concatenate([np.zeros((500, 2)), np.eye(2), 2 * np.eye(2)]).astype(np.float32)
    found = suggest(x, smallest=2, largest=2, mixture=lambda *_: (2,))
    assert np.isfinite([found.rows[0].silhouette, found.rows[0].stability, found.rows[0].spread]).all()


def test_only_some_objects_are_measured_when_there_are_many(monkeypatch):
    monkeypatch.setattr(class_count, "CURVES", 120)
    monkeypatch.setattr(class_count, "SILHOUETTE", 60)
    found = suggest(kinds(3), largest=5)
    assert found.objects == 180
    assert found.k == 3
    assert peaks(found)[0] == 3


@pytest.mark.parametrize(("smallest", "largest"), [(1, 5), (0, 3), (6, 5)])
def test_bounds_that_exclude_every_number_are_refused(smallest, largest):
    with pytest.raises(OptionError, match=f"between {smallest} and {largest}"):
        suggest(kinds(3), smallest=smallest, largest=largest)


@pytest.mark.parametrize("x", [np.zeros(5), np.full((9, 2), np.nan), np.full((9, 2), -np.inf)])
def test_what_is_no_sample_is_refused(x):
    with pytest.raises(OptionError, match="finite numbers"):
        suggest(x.astype(np.float32))


@pytest.mark.parametrize("distinct", [0, 1, 3])
def test_too_few_different_objects_are_refused_with_their_number(distinct):
    x = np.repeat(np.eye(4, dtype=np.float32)[:distinct], 6, 0)
    with pytest.raises(OptionError, match=f"no more than {distinct} objects differ; at least 4"):
        suggest(x)


def test_the_table_has_a_line_for_each_number_and_marks_the_recommended():
    found = suggest(kinds(3), largest=6)
    heading, *lines = found.table()
    assert heading.split() == ["classes", "silhouette", "stability", "spread"]
    assert [int(line.split()[0]) for line in lines] == [2, 3, 4, 5, 6]
    assert ["recommended" in line for line in lines] == [False, True, False, False, False]
    for line, row in zip(lines, found.rows, strict=True):
        assert [float(word) for word in line.split()[1:4]] == pytest.approx(
            [row.silhouette, row.stability, row.spread], abs=6e-4
        )


def test_json_holds_all_of_it():
    found = suggest(kinds(3), largest=4)
    content = json.loads(json.dumps(found.as_json()))
    assert (content["k"], content["reason"], content["objects"]) == (3, found.reason, 180)
    assert content["counts"] == [3, 3, 3]
    assert [tuple(row.values()) for row in content["rows"]] == [
        (row.k, row.silhouette, row.stability, row.spread) for row in found.rows
    ]


def test_the_plot_shows_both_curves_and_the_recommendation(tmp_path):
    found = suggest(kinds(3), largest=6)
    axes = found._figure().axes[0]
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert lines["stability"][:, 1] == pytest.approx([row.stability for row in found.rows])
    assert lines["silhouette"][:, 1] == pytest.approx([row.silhouette for row in found.rows])
    assert lines["recommended: 3"][:, 0] == pytest.approx([3, 3])
    found.plot(tmp_path / "classes.png")
    assert imread(tmp_path / "classes.png").std() > 0.05
    found.plot(tmp_path / "classes.SVG")
    assert "<svg" in (tmp_path / "classes.SVG").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.SVG", "classes.png"]


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", "ends in .txt"), ("a", "ends in nothing"), ("no/a.png", "no dir")]
)
def test_a_plot_that_cannot_be_is_refused(tmp_path, name, text):
    with pytest.raises(OptionError, match=text):
        suggest(kinds(3), largest=3).plot(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_small_objects_are_not_counted_when_areas_are_known():
    x, asked = kinds(3), []

    def mixture(values, seed):
        asked.append(values)
        return (3,)

    areas = np.where(np.arange(len(x)) % 2 == 0, 100.0, 9.0)
    assert suggest(x, largest=4, mixture=mixture, areas=areas).objects == len(x)
    assert np.array_equal(asked[0], x[::2])


@pytest.mark.parametrize("seed", range(4))
def test_what_is_large_is_measured_by_what_covers_half(seed):
    areas = np.random.default_rng(seed).lognormal(3, 2, 300)
    half = min(a for a in areas if areas[areas <= a].sum() >= areas.sum() / 2)
    assert np.array_equal(class_count.telling(areas), areas >= 0.1 * half)


def test_areas_of_other_objects_are_refused():
    with pytest.raises(OptionError, match="each object has one"):
        suggest(kinds(3), areas=np.ones(4))
