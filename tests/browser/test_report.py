"""The report in a real browser, opened from disk: no request, no error, both themes, wide, phone and print."""

import csv
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import synthetic_records as synthetic

import reports
from casim import record
from casim.export.bvh import bvh_parts
from reports.archive import pack
from reports.build import compile_report
from reports.page import page as render
from reports.stored import stored

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        reason = "no chromium on PATH; install it (Debian: apt-get install chromium) to test the page in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = synthetic.everything(tmp_path_factory.mktemp("records"))
    synthetic.probe(root, "a_hostile", prompts=(synthetic.HOSTILE, "long " * 2000, "عربي 💃🏽 emoji"))
    synthetic.evaluation(root, text=synthetic.HOSTILE)
    path = root.parent / "report.html"
    found = stored([root])
    path.write_text(render(compile_report(found), pack(found)), encoding="utf-8")
    return path


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")], ids=str)
def opened(request, browser, file) -> Iterator:
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_default_timeout(120_000)
    page.heard = []
    page.on("console", lambda message: page.heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: page.heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: page.heard.append(f"dialog: {dialog.message}"))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    yield page
    assert page.heard == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    page.close()


def test_fits_the_screen(opened):
    width = opened.viewport_size["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_labels_are_inside_their_drawing(opened):
    """No text of a chart leaves its card (which would cut it off on a phone)."""
    outside = opened.evaluate("""() => [...document.querySelectorAll('figure svg text')].filter(text => {
        const own = text.getBoundingClientRect(), card = text.closest('figure').getBoundingClientRect();
        return own.width > 0 && (own.left < card.left - 1 || own.right > card.right + 1);
    }).map(text => text.textContent)""")
    assert outside == []


def test_text_contrast(opened):
    """WCAG AA: 4.5 to 1 for every visible text against the ground it stands on."""
    low = opened.evaluate("""() => {
        const unit = colour => colour.startsWith('color(') ? 255 : 1;
        const rgb = colour => (colour.match(/[\\d.]+/g) || []).map(v => unit(colour) * v);
        const light = c => { const [r, g, b] = c.map(v => v / 255).map(
            v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b; };
        const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
        const found = new Set();
        for (const e of document.querySelectorAll('body *')) {
            const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
            if (!own || !e.getClientRects().length || e.closest('[aria-hidden]')) continue;
            const style = getComputedStyle(e), svg = e instanceof SVGElement;
            const colour = rgb(svg ? style.fill : style.color);
            const a = light(colour.slice(0, 3)), b = light(ground(e).slice(0, 3));
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < 4.5) found.add([e.tagName, ratio.toFixed(2), e.textContent.slice(0, 30)].join(' '));
        }
        return [...found];
    }""")
    assert low == []


def test_exactly_one_drawing_per_figure_is_shown(opened):
    counts = opened.evaluate("""() => [...document.querySelectorAll('figure')].filter(
        f => !f.closest('.player')).map(
        f => [...f.querySelectorAll('svg')].filter(s => s.getClientRects().length).length)""")
    assert counts
    assert set(counts) == {1}


def test_links_lead_somewhere(opened):
    dead = opened.evaluate("""() => [...document.querySelectorAll('a[href^="#"]')].filter(
        a => !document.getElementById(a.getAttribute('href').slice(1))).map(a => a.href)""")
    assert dead == []
    opened.click("nav a[href='#provenance']")
    assert opened.evaluate("location.hash") == "#provenance"


def test_hostile_text_is_shown_as_text(opened):
    running = opened.locator("script:not([type])")
    assert running.count() == 2
    assert opened.get_by_text("<script>alert('x')</script>").count() > 0


def test_keyboard_reaches_every_folded_part(opened):
    """Summaries, links and scrolled tables take the focus."""
    reached = opened.evaluate("""() => [...document.querySelectorAll('summary, a[href], .scroll')].filter(
        e => e.getClientRects().length && (e.focus(), document.activeElement !== e)).length""")
    assert reached == 0


def test_prints(browser, file, tmp_path):
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    assert not page.is_visible("nav")
    assert len(page.pdf(path=tmp_path / "report.pdf")) > 20_000
    page.close()


def until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """Waits from here: the page's policy lets no test evaluate strings in it."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def player_of(page, number: int = 0):
    player = page.locator(".player").nth(number)
    player.scroll_into_view_if_needed()
    return player


def test_a_player_plays_pauses_and_seeks(opened):
    player = player_of(opened)
    clock, button = player.locator(".clock"), player.locator(".transport button")
    assert clock.text_content() == "0.00 s"
    button.click()
    until(lambda: float((clock.text_content() or "0").split()[0]) > 0.1)
    assert button.text_content() == "Pause"
    button.click()
    stopped = clock.text_content()
    opened.wait_for_timeout(150)
    assert clock.text_content() == stopped
    player.locator("input[type=range]").fill("40")
    assert clock.text_content() == "2.00 s"
    until(lambda: "frame=40" in opened.evaluate("location.hash"))


def test_words_and_map_answer_clicks_and_keys(opened):
    player = player_of(opened)
    timed = player.locator(".word-button[title^='its true']").first
    timed.click()
    assert timed.get_attribute("aria-pressed") == "true"
    shown = opened.evaluate("location.hash")
    player.focus()
    opened.keyboard.press("ArrowRight")
    until(lambda: opened.evaluate("location.hash") != shown)
    box = player.locator("canvas.map").bounding_box()
    player.locator("canvas.map").click(position={"x": box["width"] - 2, "y": 3})
    assert player.locator(".word-button").first.get_attribute("aria-pressed") == "true"
    assert int(player.locator("input[type=range]").input_value()) > 10
    opened.keyboard.press("Tab")


def test_an_address_opens_a_player_at_its_frame(browser, file):
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{file.as_uri()}#probe=attention&prompt=1&frame=30")
    until(lambda: page.locator(".player .clock").first.text_content() == "1.50 s")
    page.evaluate("location.hash = '#probe=attention&prompt=1&frame=10'")
    until(lambda: page.locator(".player .clock").first.text_content() == "0.50 s")
    page.go_back()
    until(lambda: page.locator(".player .clock").first.text_content() == "1.50 s")
    page.close()


@pytest.fixture
def plain(browser, file) -> Iterator:
    """The page as it comes, in one size."""
    page = browser.new_page(viewport={"width": 1100, "height": 800}, accept_downloads=True)
    page.set_default_timeout(60_000)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    yield page
    page.close()


def saved(page, click: Callable[[], None], path: Path) -> bytes:
    with page.expect_download() as download:
        click()
    download.value.save_as(path)
    return path.read_bytes()


def test_a_table_is_sorted_filtered_and_saved(plain, tmp_path):
    region = plain.locator("#attention-all")
    plain.evaluate("page.unfold(document.getElementById('attention-all'))")
    cells = "#attention-all tbody tr:not([hidden]) td:nth-child(2)"
    values = f"[...document.querySelectorAll('{cells}')].map(c => c.innerText)"
    region.locator("thead button").nth(1).click()
    up = [float(v.replace("−", "-").replace(",", "")) for v in plain.evaluate(values)]
    assert up == sorted(up)
    assert region.locator("thead th").nth(1).get_attribute("aria-sort") == "ascending"
    region.locator("thead button").nth(1).click()
    down = [float(v.replace("−", "-").replace(",", "")) for v in plain.evaluate(values)]
    assert down == sorted(down, reverse=True)
    tools = plain.locator(".tools:has(+ #attention-all)")
    tools.locator("input").fill("null auc")
    shown = plain.evaluate(values)
    assert 0 < len(shown) < len(up)
    assert tools.locator("output").text_content() == f"{len(shown)} of {len(up)} rows"
    until(lambda: "filter.attention-all=null" in plain.evaluate("location.hash"))
    table = list(
        csv.reader(
            io.StringIO(saved(plain, tools.get_by_text("CSV").click, tmp_path / "t.csv").decode("utf-8-sig"))
        )
    )
    told = json.loads(saved(plain, tools.get_by_text("JSON").click, tmp_path / "t.json"))
    assert [told["columns"], *[[str(field) for field in row] for row in told["rows"]]] == table
    assert len(table) == len(up) + 1  # all rows, not the filtered ones alone
    assert table[0][:4] == ["Measure", "Value", "95 % interval, low", "95 % interval, high"]
    for row in told["rows"]:
        assert isinstance(row[1], float | int)
        assert row[2] == "" or row[2] <= row[1] <= row[3]
    assert {row[0]: row[1] for row in told["rows"]}["casim/auc/natural"] == 0.93


def test_every_drawing_is_saved_as_xml(plain):
    """Caught before the browser saves it, which it does ten times and no more."""
    texts = plain.evaluate("""() => {
        const caught = [];
        URL.createObjectURL = (blob) => { caught.push(blob.text()); return '#'; };
        HTMLAnchorElement.prototype.click = () => {};
        document.querySelectorAll('details').forEach((d) => { d.open = true; });
        document.querySelectorAll('figure[id] > .get').forEach((button) => button.click());
        return Promise.all(caught);
    }""")
    assert len(texts) == plain.locator("figure[id] > .get").count() > 10
    for text in texts:
        drawing = ElementTree.fromstring(text)
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert drawing.get("font-family")
        assert "var(" not in ElementTree.tostring(drawing, encoding="unicode")


def test_motions_are_saved_as_they_are(plain, file, tmp_path):
    """NPZ and BVH hold the joints that the record's arrays hold, to a millimetre and a few."""
    shown = plain.locator(".player").first.get_attribute("aria-label") or ""
    held = [v.arrays["arrays.npz"] for v in reports.load(file).values() if "arrays.npz" in v.arrays]
    arrays = next(a for a in held if "example0/prompt" in a and f"“{a['example0/prompt']}”" in shown)
    joints = np.asarray(arrays["example0/real"], dtype=np.float32)
    joints = joints - np.array([0, joints[..., 1].min(), 0], dtype=np.float32)
    stage = plain.locator(".player").first.locator(".stages figure").first
    saved(plain, stage.locator("button", has_text="NPZ").click, tmp_path / "clip.npz")
    with np.load(tmp_path / "clip.npz") as clip:
        np.testing.assert_allclose(clip["joints"], joints, atol=6e-4)
        assert clip["fps"] == 20
    saved(plain, stage.locator("button", has_text="BVH").click, tmp_path / "clip.bvh")
    lines = (tmp_path / "clip.bvh").read_text().splitlines()
    head, rows, misfit = bvh_parts(joints, 20.0)
    assert f"±{round(misfit * 1000)} mm" in (stage.text_content() or "")
    assert "\n".join(lines[: -len(joints)]) == head
    given = np.array([[float(v) for v in line.split()] for line in lines[-len(joints) :]])
    np.testing.assert_allclose(given[:, :3], rows[:, :3], atol=0.06)
    turns = (given[:, 3:] - rows[:, 3:] + 180) % 360 - 180
    np.testing.assert_allclose(turns, 0, atol=0.01)


def test_a_turning_body_has_no_jumps(browser, tmp_path):
    """Angles that pass half a turn go on, in the file as in the library's."""
    root = synthetic.probe(tmp_path / "records").parent
    folder = root / "attention"
    with np.load(folder / "arrays.npz") as held:
        arrays = {name: held[name] for name in held.files}
    clip = arrays["example0/real"].astype(float)
    angle = np.linspace(0, 14, len(clip))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, z = clip[..., 0].copy(), clip[..., 2].copy()
    clip[..., 0], clip[..., 2] = x * cos + z * sin, z * cos - x * sin
    arrays["example0/real"] = clip.astype(np.float16)
    np.savez(folder / "arrays.npz", **arrays)
    item = record.load(folder)
    item.artifacts = {}
    record.attach(item, folder, folder / "arrays.npz")
    record.save(item, folder)
    (tmp_path / "r.html").write_text(render(compile_report(stored([root]))), encoding="utf-8")
    page = browser.new_page(accept_downloads=True)
    page.goto((tmp_path / "r.html").as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    stage = page.locator(".player").first.locator(".stages figure").first
    saved(page, stage.locator("button", has_text="BVH").click, tmp_path / "clip.bvh")
    page.close()
    lines = (tmp_path / "clip.bvh").read_text().splitlines()[-len(clip) :]
    turns = np.array([[float(v) for v in line.split()] for line in lines])[:, 3:]
    assert np.abs(np.diff(turns, axis=0)).max() <= 180.01
    assert np.ptp(turns, axis=0).max() > 700


def test_the_records_come_back(plain, file, tmp_path):
    data = saved(plain, plain.locator("[data-archive]").click, tmp_path / "records.tar.xz")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert {name.rpartition("/")[0] for name in names} == set(reports.load(file))


def test_an_address_names_a_head(plain, file):
    player = plain.locator(".player").nth(1)
    names = player.locator(".stages figcaption")
    assert "training 5 on the real clip" in (player.locator(".source").text_content() or "")
    assert [name.rpartition(" ")[2] for name in names.all_text_contents()] == ["clip", "5", "5"]
    plain.evaluate("location.hash = '#probe=attention&prompt=2&seed=7&layer=1&head=1&frame=7'")
    until(lambda: player.locator(".clock").text_content() == "0.35 s")
    chosen = player.locator("select[aria-label^='Attention']")
    assert [chosen.nth(i).input_value() for i in range(3)] == ["7", "1", "1"]
    assert [name.rpartition(" ")[2] for name in names.all_text_contents()] == ["clip", "7", "5"]
    assert "training 7 on its own motion" in (player.locator(".source").text_content() or "")
    assert player.locator(".word-button.told").count() == 0
    held = next(v.arrays["arrays.npz"] for v in reports.load(file).values() if "arrays.npz" in v.arrays)
    heads = next(
        held[f"example{k}/heads"]
        for k in range(int(held["examples"]))
        if f"“{held[f'example{k}/prompt']}”" in (player.get_attribute("aria-label") or "")
    )
    head = heads[1, 1, 1] // 32 * 32
    shade = "(b) => b.map(e => Number(e.style.getPropertyValue('--heat')))"
    heat = player.locator(".word-button").evaluate_all(shade)
    np.testing.assert_allclose(heat, head[:, 7] / head.max(), atol=0.004)
    chosen.nth(1).select_option("0")
    assert "layer=0" in plain.evaluate("location.hash")
    plain.go_back()
    until(lambda: chosen.nth(1).input_value() == "1")
    chosen.nth(1).select_option("")
    assert "layer" not in plain.evaluate("location.hash")
    assert chosen.nth(2).is_disabled()


def test_back_before_the_first_step_shows_the_beginning(plain):
    player = player_of(plain)
    chosen = player.locator("select[aria-label^='Attention']")
    chosen.nth(1).select_option("0")
    plain.go_back()
    until(lambda: chosen.nth(1).input_value() == "")


def test_odd_addresses_do_no_harm(plain):
    player = player_of(plain)
    plain.evaluate("location.hash = '#probe=attention&prompt=1&frame=abc&layer=99&word=x'")
    until(lambda: player.locator(".clock").text_content() == "0.00 s")
    button = player.locator(".transport button").first
    button.click()
    until(lambda: float((player.locator(".clock").text_content() or "0").split()[0]) > 0.1)
    button.click()
    frame = player.locator("input[type=range]").input_value()
    until(lambda: f"frame={frame}" in plain.evaluate("location.hash"))


def test_the_keyboard_does_all_that_the_mouse_does(plain):
    player = player_of(plain)
    slider = player.locator("input[type=range]")
    last = int(slider.get_attribute("max") or "0")
    player.focus()
    for key, frame in (("End", last), ("Home", 0), ("5", round(last / 2)), ("ArrowLeft", round(last / 2) - 1)):
        plain.keyboard.press(key)
        assert int(slider.input_value()) == frame
    stage = player.locator("canvas.stage").first
    before = stage.screenshot()
    plain.keyboard.press("Shift+ArrowRight")
    assert stage.screenshot() != before
    shown = slider.input_value()
    plain.evaluate("addEventListener('keydown', e => { window.isKept = !e.defaultPrevented; })")
    plain.keyboard.press("Control+ArrowRight")
    assert slider.input_value() == shown
    assert plain.evaluate("window.isKept")


def test_times_are_sorted_by_length(plain):
    plain.evaluate("page.unfold(document.getElementById('records'))")
    plain.locator("#records thead button").last.click()
    order = "[...document.querySelectorAll('#records td[data-order]')].map(c => Number(c.dataset.order))"
    seconds = plain.evaluate(order)
    assert len(seconds) > 3
    assert seconds == sorted(seconds)


def test_captions_are_found_by_their_words(plain):
    field = plain.locator(".search input")
    prompts = plain.locator(".player .words")
    first = " ".join(prompts.first.locator("button").all_text_contents())
    field.fill(first.split()[-1].upper())
    assert plain.locator(".found a").count() > 0
    field.fill(first)
    plain.locator(".found a").first.click()
    assert "prompt=1" in plain.evaluate("location.hash")
    field.fill("zzz <img src=x onerror=alert(1)>")
    assert plain.locator(".found a").count() == 0


def test_a_command_is_copied(plain):
    line = plain.locator(".command").first
    plain.evaluate("page.unfold(document.querySelector('.command'))")
    line.locator("button").click()
    until(lambda: line.locator("button").text_content() == "Copied")


def test_axe_finds_nothing(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(opened).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
