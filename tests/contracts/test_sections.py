"""What every report section promises: it draws what is stored, says what is missing, and repeats no id."""

import re

import pytest
import synthetic_records as synthetic

from casim import plugins
from reports.build import SECTIONS, section_of
from reports.page import page
from reports.pages import Absence, Figure, Report, Section, walk
from reports.stored import stored

NAMES = plugins.names(SECTIONS)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory):
    return stored([synthetic.everything(tmp_path_factory.mktemp("records"))])


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_renders_stored_records(name, records):
    made = section_of(name)(records)
    assert isinstance(made, Section)
    assert made.id == name
    assert made.title
    assert made.lead.endswith(".")
    html = page(Report("t", "a", (made,)))
    assert f'<section id="{name}"' in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert sorted(ids) == sorted(set(ids)), "an id stands twice"


def test_figures_have_words_and_numbers(name, records):
    for block in walk(section_of(name)(records).blocks):
        if isinstance(block, Figure):
            assert len(block.text) > 20
            assert block.data is not None
            assert block.data.rows
            for svg in (block.wide, block.narrow):
                assert svg.startswith("<svg ")
                assert 'role="img"' in svg
                assert "aria-label=" in svg


def test_tables_are_rectangular_and_captioned(name, records):
    html = page(Report("t", "a", (section_of(name)(records),)))
    for table in re.findall(r"<table>.*?</table>", html, re.S):
        assert "<caption>" in table
        columns = table.count('<th scope="col"')
        for row in re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.S):
            assert row.count('<th scope="row"') == 1
            assert len(re.findall(r"<t[hd]\b", row)) == columns


def test_says_what_is_missing(name):
    made = section_of(name)(())
    assert made is not None
    absences = [block for block in walk(made.blocks) if isinstance(block, Absence)]
    assert absences
    assert all(a.command.startswith(("python -m ", "make ")) for a in absences)
    assert not made.verdicts
    assert "This command fills it" in page(Report("t", "a", (made,)))


def test_unfinished_records_are_no_evidence(name, tmp_path):
    root = synthetic.everything(tmp_path)
    for item in stored([root]):
        item.record.status = "failed"
        synthetic.record.save(item.record, item.folder)
    made = section_of(name)(stored([root]))
    assert not made.verdicts
    assert not [block for block in walk(made.blocks) if isinstance(block, Figure)]
