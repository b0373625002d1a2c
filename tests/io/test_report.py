"""The page: harmless whatever its texts, small whatever the scene, and what it does in a browser."""

import base64
import io
import json
import re
import shutil
import tempfile
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geoalps.errors import ProductError
from geoalps.io.report import page
from geoalps.io.report.chips import LARGEST, LEAST, SIDE, Chip, around, keep, read_kept
from geoalps.io.report.content import Gallery, Picture, ReportContent, carried, sheet_of
from geoalps.io.report.facts import facts, length, percent, square
from geoalps.io.report.page import BUDGET, MOST_CARDS, harmless, payload, read_payload, render, write_report
from geoalps.io.report.preview import jpeg, preview_shape
from geoalps.io.style import ClassRow

HOSTILE = ("</script><script>window.hurt=1</script>", '"><img src=x onerror="window.hurt=1">', "<!--", "{{script}}")
RUN = {
    "geoalps": "0.1.0",
    "scene": {
        "name": "harbour", "shape": [900, 1200], "transform": [0.5, 0, 5e5, 0, -0.5, 5.2e6], "path": "/a/harbour.tif",
        "crs": 'PROJCS["WGS 84 / UTM zone 32N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
        '298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
        'PARAMETER["central_meridian",9],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
        'UNIT["metre",1],AUTHORITY["EPSG","32632"]]',
    },
    "store": "abc", "n_classes": 12, "seed": 0, "options": {"min_area": None, "grid": {"size": 256, "margin": 32}},
    "segmenter": {"name": "regions", "options": {"regions_per_mpx": 900}}, "stretch": {"low": [0, 0, 0]},
    "counts": {"objects": 240, "covered_pixels": 1_000_000, "tiles": 20, "empty": 0, "gated": 0},
    "damaged_tiles": {"r00000c00001": HOSTILE[0]}, "seam_index": {"on": 0.1, "beside": 0.1, "lines": 7, "index": 1.0},
    "versions": {"python": "3.11"}, "drift": {"unseen": 0.0, "unusual": 0.01}, "seconds": {"segment": 12.5, "fit": 0.1},
}  # fmt: skip


def content(k=12, noisy=0, shape=(900, 1200), names=None):
    """A page's content: smooth pictures, or noise and so many chips of it; of k classes the last is merged."""
    rng = np.random.default_rng(0)
    height, width = preview_shape(shape)
    if noisy:
        preview = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        labels = rng.integers(0, k, (height, width)).astype(np.uint8 if k <= 255 else np.uint16)
        pictures = rng.integers(0, 256, (noisy, SIDE, SIDE, 3)).astype(np.uint8)
    else:
        rows, cols = np.mgrid[:height, :width]
        preview = np.stack([rows // 4 % 256, cols // 5 % 256, np.full((height, width), 90)], 2).astype(np.uint8)
        labels = (cols * (k - 1) // width).astype(np.uint8)
        labels[:100] = 255
        pictures = np.repeat(np.arange(240, dtype=np.uint8), SIDE * SIDE * 3).reshape(240, SIDE, SIDE, 3)
    numbers = range(1, len(pictures) + 1)
    found = {n: Chip(jpeg(pictures[n - 1], 85), (n, 2 * n, n + 20, 2 * n + 20)) for n in numbers}
    shown, sheet = sheet_of(found)
    each = len(pictures) // k if k < len(pictures) else 0
    gallery = Gallery(
        {c: tuple(range(c * each + 1, c * each + 4)) for c in range(k)} if each else {},
        {c: tuple(range(c * each + 4, c * each + 6)) for c in range(k)} if each else {},
        tuple((n, (n - 1) % k, 0.5, float(rng.random()), float(rng.random())) for n in list(numbers)[:200]),
        "t-SNE", shown, tuple(found[n].box for n in shown), sheet,
    )  # fmt: skip
    names = names or [f"kind {c}" for c in range(k)]
    rows = tuple(
        ClassRow(c, names[c], f"#{(c * 6_500_003) % (1 << 24):06x}", 240 - c, 1000.0 * (c + 1)) for c in range(k - 1)
    )
    sizes = {c: [1, 5, 9, 2] for c in range(k)}
    merged = [*range(k - 1), 0]
    there = np.ones((height, width), bool)
    there[:60] = False
    return ReportContent(
        RUN | {"scene": {**RUN["scene"], "shape": list(shape)}}, rows, merged, sizes, [1, 10, 100, 1000, 10000],
        gallery, Picture(preview), there, labels, 0.5, ("Try -k 20.",),
    )  # fmt: skip


# Without a browser


def test_what_is_written_is_read_and_carried_over(tmp_path):
    given = content()
    write_report(tmp_path / "report.html", given)
    found = read_payload(tmp_path / "report.html")
    gallery, preview, there = carried(found, len(given.merged))
    assert (there == given.there).all()
    for name in ("typical", "borderline", "points", "projection", "chips", "boxes", "missing"):
        one, two = getattr(gallery, name), getattr(given.gallery, name)
        assert one == two if name != "points" else np.allclose(one, two, atol=1e-3)
    again = replace(given, gallery=gallery, preview=preview)
    write_report(tmp_path / "again.html", again)
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "report.html").read_bytes()


def test_nothing_is_fetched():
    text = render(content(), page.LADDER[0])
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<)]*", re.sub(r'"[A-Za-z0-9+/=]{200,}"', "", text)))
    assert {address for address in addresses if "//www.w3.org/" not in address} == set()
    assert not re.findall(r"""<(?:link|script|img|iframe)[^>]+(?:src|href)=["'](?!data:|#)""", text)
    assert "@import" not in text
    assert not re.findall(r"url\((?!\$\{)", text)


class Elements(HTMLParser):
    """The tags of a page."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


@given(st.text(min_size=1))
def test_no_text_gets_out_of_its_script(text):
    assert json.loads(harmless({"a": text})) == {"a": text}
    assert not set(harmless({"a": text})) & set("<>&\u2028\u2029")


def test_hostile_names_make_no_element():
    plain, hostile = (content(names=names) for names in (None, [HOSTILE[c % 4] + str(c) for c in range(12)]))
    hostile = replace(hostile, run={**hostile.run, "scene": {**hostile.run["scene"], "name": HOSTILE[0]}})
    seen = []
    for one in (plain, hostile):
        parser = Elements()
        parser.feed(render(one, page.LADDER[0]))
        seen.append(parser.tags)
    assert seen[0] == seen[1]
    assert seen[0].count("script") == 2


def test_noise_fits_the_budget(tmp_path):
    write_report(tmp_path / "report.html", content(300, 400, shape=(20_000, 60_000)))
    assert 1_000_000 < (tmp_path / "report.html").stat().st_size <= BUDGET
    found = read_payload(tmp_path / "report.html")
    assert Image.open(io.BytesIO(base64.b64decode(found["preview"]))).size
    write_report(tmp_path / "again.html", replace(content(300), gallery=carried(found, 300)[0]))
    assert (tmp_path / "again.html").stat().st_size <= BUDGET


def test_the_ladder_goes_down_to_no_pictures_and_then_says_so(tmp_path):
    given = content(noisy=60, shape=(500, 700))
    sizes = [len(render(given, fidelity).encode()) for fidelity in page.LADDER]
    assert sizes == sorted(sizes, reverse=True)
    write_report(tmp_path / "a.html", given, sizes[-1])
    found = read_payload(tmp_path / "a.html")["gallery"]
    assert not found["chips"]
    assert "too large" in found["missing"]
    with pytest.raises(ProductError, match=r"over 1000; give"):
        write_report(tmp_path / "b.html", given, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_more_classes_than_anybody_looks_at_fit_all_the_same(tmp_path):
    given = content(30_000)
    write_report(tmp_path / "a.html", given)
    assert (tmp_path / "a.html").stat().st_size <= BUDGET
    found = read_payload(tmp_path / "a.html")
    assert len(found["classes"]) == MOST_CARDS
    largest = sorted(given.classes, key=lambda row: -row.area_m2)[:MOST_CARDS]
    assert {row["id"] for row in found["classes"]} == {row.class_id for row in largest}
    assert "The 2,000 largest of 29,999 classes are shown; classes.csv has all." in found["notes"]


def test_a_page_that_was_made_smaller_is_not_made_smaller_again(tmp_path):
    given, sizes = content(300, 60, shape=(2000, 2000)), []
    wanted = len(render(given, page.LADDER[5]).encode())
    for number in range(3):
        write_report(tmp_path / f"{number}.html", given, wanted)
        found = read_payload(tmp_path / f"{number}.html")
        _, preview, there = carried(found, 300)
        sizes.append((preview.image.shape, there.shape if there is not None else None))
        given = replace(given, preview=preview, there=there, shrunk=found["shrink"])
    assert sizes[0][0][0] == 2000 // page.LADDER[5].shrink
    assert sizes[0] == sizes[1] == sizes[2]


def picture_of(kind):
    out = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("preview", picture_of("PNG")),
        ("preview", picture_of("EPS")),
        ("there", {"shape": [10**6, 10**6], "data": "eJwDAAAAAAE="}),
        ("there", {"shape": [-1, 5], "data": "eJwDAAAAAAE="}),
        ("points", [[1, 999, 0.5, 0.5, 0.5]]),
        ("boxes", []),
        ("typical", {"999": [1]}),
    ],
)
def test_a_page_from_somebody_else_is_looked_at_before_it_is_believed(part, value):
    found = json.loads(json.dumps(payload(content(), page.LADDER[0])))
    (found if part in found else found["gallery"])[part] = value
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        carried(found, 12)


@pytest.mark.parametrize("text", ['{"format":1,"a":NaN}', '{"format":1,"a":' + "[" * 100_000])
def test_what_is_no_json_is_no_page(tmp_path, text):
    (tmp_path / "a.html").write_text(f'<script type="application/json" id="content">{text}</script>')
    assert read_payload(tmp_path / "a.html") is None


def test_a_tile_that_failed_is_not_called_nodata():
    (whole,) = [fact for fact in facts(replace(content(), run=content().run | {"damaged_tiles": {}}))
                if fact["label"] == "Uncovered"]  # fmt: skip
    (broken,) = [fact for fact in facts(content()) if fact["label"] == "Uncovered"]
    assert whole["note"].endswith("has no data")
    assert broken["note"].endswith("has no data, or is in tiles that failed")


@pytest.mark.parametrize("damage", ["", "<html>", '<script type="application/json" id="content">{"format":0}</script>'])
def test_what_is_no_page_of_ours_is_none(tmp_path, damage):
    (tmp_path / "a.html").write_text(damage)
    assert read_payload(tmp_path / "a.html") is None
    assert read_payload(tmp_path / "b.html") is None


@pytest.mark.parametrize("lost", ["gallery", "preview", "there"])
def test_a_page_that_lacks_something_is_not_carried_over(lost):
    found = json.loads(json.dumps(payload(content(), page.LADDER[0])))
    del found[lost]
    with pytest.raises(ValueError, match=lost):
        carried(found, 12)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        carried(found | {lost: "x"}, 12)


@given(*[st.integers(0, 3000)] * 2, st.integers(1, 1500), st.integers(1, 1500), *[st.integers(1, 3000)] * 2)
def test_a_chip_shows_its_object_and_lies_in_the_scene_if_it_can(row, col, height, width, rows, cols):
    row, col = min(row, rows - 1), min(col, cols - 1)
    box = np.array([row, col, min(row + height, rows), min(col + width, cols)])
    window = around(box, (rows, cols))
    assert window.height == window.width
    assert LEAST <= window.height <= LARGEST
    if max(box[2:] - box[:2]) * 1.7 <= LARGEST:
        assert window.row0 <= box[0]
        assert window.col0 <= box[1]
        assert window.row1 >= box[2]
        assert window.col1 >= box[3]
    for start, stop, size in ((window.row0, window.row1, rows), (window.col0, window.col1, cols)):
        assert (start >= 0 and stop <= size) or stop - start >= size


def test_chips_are_kept(tmp_path):
    chips = {n: Chip(jpeg(np.full((SIDE, SIDE, 3), n, np.uint8), 90), (n, 0, 9, 9)) for n in (7, 3)}
    keep(tmp_path / "painted", chips)
    assert read_kept(tmp_path / "painted") == chips
    assert read_kept(tmp_path) == {}
    (tmp_path / "painted" / "chips.parquet").write_bytes(b"PAR1")
    assert read_kept(tmp_path / "painted") == {}


def test_numbers_have_units():
    assert [square(v) for v in (0, 0.004, 1.234, 999, 12_345, 3.2e6)] == [
        "0 m²", "40.0 cm²", "1.23 m²", "999 m²", "1.23 ha", "3.20 km²",
    ]  # fmt: skip
    assert [length(v) for v in (0.05, 0.3, 10, 1113)] == ["5 cm", "30 cm", "10 m", "1.11 km"]
    assert [percent(v) for v in (0, 1e-5, 0.123, 1)] == ["0 %", "under 0.1 %", "12.3 %", "100.0 %"]


# In a browser


@pytest.fixture(scope="module")
def driver():
    """Chromium without a window, whose log tells errors and requests."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, control = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not control:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (
            "headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
            "disable-component-update", "disable-sync", "window-size=1280,900", f"user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(control))
        yield opened
        opened.quit()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    names = [HOSTILE[c] if c < 4 else f"kind {c}" for c in range(12)]
    write_report(path, content(names=names))
    return path


def show(driver, path, width=1280, height=900, dark=False):
    """Open a page in a window of this size, and wait until it is drawn."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    scheme.append({"name": "prefers-reduced-motion", "value": "reduce"})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(Path(path).as_uri())
    wait(driver, "document.body.dataset.ready === 'yes'")


def complaints(driver):
    """What the browser's console says, but for its advice on the pixels that the tests read."""
    return [entry for entry in driver.get_log("browser") if "willReadFrequently" not in entry["message"]]


def wait(driver, condition):
    """Until a condition in the page is true."""
    for _ in range(200):
        if driver.execute_script(f"return {condition}"):
            return
        time.sleep(0.05)
    pytest.fail(f"never true: {condition}; {driver.get_log('browser')}")


@pytest.fixture
def desk(driver, written):
    """The page on a desktop; afterwards, nothing has gone wrong in it."""
    show(driver, written)
    driver.execute_script("localStorage.clear()")
    yield driver
    assert complaints(driver) == []


def lightness(driver, x, y):
    """Red, green and blue of the map at a share of its width and height."""
    return driver.execute_script(
        "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const view = document.getElementById('view');"
        f"const data = view.getContext('2d').getImageData(view.width * {x}, view.height * {y}, 1, 1).data;"
        "done([...data]); })))"
    )


def state(driver):
    return driver.execute_script("return window.geoalpsReport.map")


def element(driver, selector):
    return driver.find_element("css selector", selector)


def press(driver, selector, *keys):
    from selenium.webdriver.common.keys import Keys

    element(driver, selector).send_keys(*(getattr(Keys, key, key) for key in keys))


def mouse(driver):
    from selenium.webdriver import ActionChains

    return ActionChains(driver, duration=20)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_in_light_and_dark_without_errors_or_requests(driver, written, width, dark):
    show(driver, written, width, dark=dark)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == dark
    driver.execute_script("document.getElementById('theme').click()")
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") != background
    driver.execute_script(
        "localStorage.clear(); document.querySelectorAll('details').forEach((one) => one.open = true)"
    )
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert complaints(driver) == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert {address.split(":")[0] for address in asked} <= {"file", "blob", "data"}


def test_hostile_names_are_only_text(desk):
    names = [one.text for one in desk.find_elements("css selector", ".card strong")]
    assert names[:4] == list(HOSTILE)
    assert len(names) == 11
    assert desk.execute_script("return window.hurt") is None
    mouse(desk).move_to_element_with_offset(element(desk, "#view"), 40, 40).perform()
    assert desk.execute_script("return document.querySelectorAll('#tip img, #tip script, .card img').length") == 0


def test_the_line_between_scene_and_labels(desk):
    press(desk, "#swipe", "HOME")
    labels = lightness(desk, 0.3, 0.5)
    press(desk, "#swipe", "END")
    scene = lightness(desk, 0.3, 0.5)
    assert labels != scene
    assert element(desk, "#swipe").get_attribute("aria-valuenow") == "100"
    press(desk, "#swipe", *["ARROW_LEFT"] * 5)
    assert element(desk, "#swipe").get_attribute("aria-valuenow") == "85"
    before = element(desk, "#swipe").rect["x"]
    mouse(desk).drag_and_drop_by_offset(element(desk, "#swipe i"), -200, 0).perform()
    assert element(desk, "#swipe").rect["x"] == pytest.approx(before - 200, abs=3)
    press(desk, "#swipe", "HOME")
    desk.execute_script(
        "const o = document.getElementById('opacity'); o.value = 0; o.dispatchEvent(new Event('input'))"
    )
    assert lightness(desk, 0.3, 0.5) == scene


def test_zoom_and_pan(desk):
    whole = state(desk)
    element(desk, "#in").click()
    assert state(desk)["scale"] > whole["scale"]
    assert not state(desk)["fitted"]
    element(desk, "#out").click()
    assert state(desk)["scale"] == pytest.approx(whole["scale"])
    view = element(desk, "#view")
    desk.execute_script(
        "const box = arguments[0].getBoundingClientRect();"
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -200, cancelable: true,"
        "clientX: box.left + 50, clientY: box.top + 60}))", view,
    )  # fmt: skip
    zoomed = state(desk)
    assert zoomed["scale"] > whole["scale"]  # and what was under the pointer stays there
    for axis, at in (("left", 50), ("top", 60)):
        assert (at - zoomed[axis]) / zoomed["scale"] == pytest.approx((at - whole[axis]) / whole["scale"], abs=1)
    mouse(desk).move_to_element_with_offset(view, -150, -100).click_and_hold().move_by_offset(
        -60, -30
    ).release().perform()
    moved = state(desk)
    assert (moved["left"], moved["top"]) == pytest.approx((zoomed["left"] - 60, zoomed["top"] - 30), abs=5)
    assert desk.execute_script("return window.geoalpsReport.lit") is None  # a drag is no click
    press(desk, "#view", "+", "ARROW_LEFT")
    assert state(desk)["scale"] > moved["scale"]
    press(desk, "#view", "0")
    assert state(desk)["fitted"]
    assert state(desk)["scale"] == pytest.approx(whole["scale"])


def test_two_fingers_zoom(driver, written):
    show(driver, written, 390, 844)
    driver.execute_script("document.getElementById('map').scrollIntoView({block: 'center', behavior: 'instant'})")
    box, before = element(driver, "#view"), state(driver)
    top = driver.execute_script("return arguments[0].getBoundingClientRect().top", box)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 120), ("touchEnd", None)):
        points = [] if apart is None else [{"x": 100 - apart / 2, "y": top + 90}, {"x": 100 + apart / 2, "y": top + 90}]
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert state(driver)["scale"] > 1.5 * before["scale"]
    assert complaints(driver) == []


def test_a_card_highlights_its_class_everywhere(desk):
    press(desk, "#swipe", "HOME")
    plain = [lightness(desk, x, 0.5) for x in (0.02, 0.98)]
    element(desk, ".card[data-id='0'] .title").click()
    assert desk.execute_script("return window.geoalpsReport.lit") == 0
    assert element(desk, ".card[data-id='0'] .title").get_attribute("aria-pressed") == "true"
    dimmed = desk.execute_script("return document.querySelectorAll('#cloud circle.dim').length")
    given = content()
    shown = [point for point in given.gallery.points if given.merged[point[1]] == 0]
    assert dimmed == 200 - len(shown)
    lit = [lightness(desk, x, 0.5) for x in (0.02, 0.98)]
    assert lit != plain
    press(desk, ".card[data-id='4'] .title", "ENTER")
    assert desk.execute_script("return window.geoalpsReport.lit") == 4
    press(desk, "body", "ESCAPE")
    assert desk.execute_script("return window.geoalpsReport.lit") is None
    assert [lightness(desk, x, 0.5) for x in (0.02, 0.98)] == plain


def order(driver):
    return [int(card.get_attribute("data-id")) for card in driver.find_elements("css selector", ".card")]


def test_cards_are_sorted_and_filtered(desk):
    from selenium.webdriver.support.ui import Select

    assert order(desk) == list(range(11))
    Select(element(desk, "#sort")).select_by_value("area")
    assert order(desk) == list(range(10, -1, -1))
    Select(element(desk, "#sort")).select_by_value("count")
    assert order(desk) == list(range(11))
    press(desk, "#filter", "kind 1")
    assert order(desk) == [10]
    press(desk, "#filter", "zzz")
    assert order(desk) == []
    assert element(desk, "#nothing").is_displayed()


def test_the_pointer_is_told_what_it_is_over(desk):
    tip = element(desk, "#tip")
    mouse(desk).move_to_element_with_offset(element(desk, "#view"), 120, 40).perform()
    assert tip.is_displayed()
    assert "kind" in tip.text
    assert "x 500" in element(desk, "#readout").text
    chip = element(desk, ".card[data-id='5'] .chip")
    desk.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chip)
    mouse(desk).move_to_element(chip).perform()
    assert "Object 101" in tip.text
    assert "kind 5" in tip.text
    chip.click()
    assert state(desk)["marked"] == [101, 202, 121, 222]
    cloud = element(desk, "#cloud svg")
    desk.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cloud)
    dot = element(desk, "#cloud circle[data-id='17']")
    for _ in range(20):  # the page may still be scrolling
        mouse(desk).move_to_element(cloud).move_to_element(dot).perform()
        if tip.is_displayed():
            break
    assert re.search(r"Object \d+ · confidence 0.50", tip.text)
    assert re.search(r"Object \d+", element(desk, "#chosen").text)
    first = element(desk, "#chosen").text
    press(desk, "#cloud svg", "ARROW_RIGHT")
    assert element(desk, "#chosen").text != first


def test_chips_are_one_stop_and_arrows_go_on(desk):
    row = "document.querySelector('.card[data-id=\"5\"] .chips')"
    desk.execute_script(f"{row}.firstElementChild.focus()")
    assert desk.execute_script(f"return [...{row}.children].filter((chip) => chip.tabIndex === 0).length") == 1
    desk.switch_to.active_element.send_keys("\ue014")
    assert desk.execute_script(f"return [...{row}.children].indexOf(document.activeElement)") == 1


@pytest.mark.parametrize("lacking", ["preview", "labels", "gallery", "everything"])
def test_what_is_missing_breaks_nothing(driver, tmp_path, lacking):
    given, nothing = content(), {"preview": None, "labels": None, "gallery": Gallery(missing="No scene.")}
    if lacking == "everything":
        run = {**given.run, "counts": {"objects": 0, "tiles": 1}, "scene": {**given.run["scene"], "crs": None}}
        given = ReportContent(run, (), (), notes=("Nothing is there.",))
    else:
        given = replace(given, **{lacking: nothing[lacking]})
    write_report(tmp_path / "report.html", given)
    show(driver, tmp_path / "report.html", 390)
    assert complaints(driver) == []
    if lacking == "gallery":
        assert element(driver, "#missing").text == "No scene."
        assert not element(driver, "#space").is_displayed()
