"""The report in a real browser, opened from disk: no request, no error, both themes, wide, phone and print."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import synthetic_records as synthetic

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
    path.write_text(render(compile_report(stored([root]))), encoding="utf-8")
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
    running = opened.locator("script:not([type='application/json'])")
    assert running.count() == 1
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
    assert "frame=40" in opened.evaluate("location.hash")


def test_words_and_map_answer_clicks_and_keys(opened):
    player = player_of(opened)
    timed = player.locator(".word-button[title^='its true']").first
    timed.click()
    assert timed.get_attribute("aria-pressed") == "true"
    shown = opened.evaluate("location.hash")
    player.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.evaluate("location.hash") != shown
    box = player.locator("canvas.map").bounding_box()
    player.locator("canvas.map").click(position={"x": box["width"] - 2, "y": 3})
    assert player.locator(".word-button").first.get_attribute("aria-pressed") == "true"
    assert int(player.locator("input[type=range]").input_value()) > 10
    opened.keyboard.press("Tab")


def test_an_address_opens_a_player_at_its_frame(browser, file):
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{file.as_uri()}#player=player0&frame=30")
    assert page.locator(".player .clock").first.text_content() == "1.50 s"
    page.evaluate("location.hash = '#player=player0&frame=10'")
    until(lambda: page.locator(".player .clock").first.text_content() == "0.50 s")
    page.go_back()
    until(lambda: page.locator(".player .clock").first.text_content() == "1.50 s")
    page.close()


def test_axe_finds_nothing(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(opened).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
