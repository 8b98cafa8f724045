"""The report in a real browser, opened from disk: no request, no error, both themes, wide, phone and print."""

import os
import shutil
from collections.abc import Iterator
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
        const rgb = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
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
    counts = opened.evaluate("""() => [...document.querySelectorAll('figure')].map(
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
    assert opened.locator("script").count() == 0
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
