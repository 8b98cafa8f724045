"""The section on the four-factor ablation: the sentence says what is stored, and what is missing is said."""

import synthetic_records as synthetic

from reports.pages import Absence, Figure, Prose, Table, walk
from reports.sections import training
from reports.sections.confounds import section
from reports.stored import stored


def blocks(root, kind):
    made = section(stored([root]))
    return [block for block in walk(made.blocks) if isinstance(block, kind)]


def test_the_sentence_says_how_much_belongs_to_tokens(tmp_path):
    synthetic.confounds(tmp_path)
    text = blocks(tmp_path, Prose)[0].text.replace("\u00a0", " ")
    assert text.startswith(
        "On seen pairs, of the gain of +0.26 (+0.20 to +0.32) from MDM's configuration to CASIM's"
    )
    assert "+0.31 (+0.27 to +0.35) belongs to tokens: 119 % (109 to 129 %)." in text
    assert "On held-out pairs" in text


def test_a_gain_that_may_be_nothing_has_no_shares(tmp_path):
    synthetic.confounds(tmp_path, gain=0.1)
    assert "which is not clear of 0, +0.03" in blocks(tmp_path, Prose)[0].text
    main, *_ = blocks(tmp_path, Table)
    assert main.rows[0][-1].note == "gain not clear of 0"


def test_the_tables_have_every_factor_and_every_cell(tmp_path):
    synthetic.confounds(tmp_path)
    main, interactions, cells = blocks(tmp_path, Table)
    assert [row[0].text for row in main.rows] == ["tokens", "window", "mask", "norm", "all four"]
    assert [column.label for column in main.columns[1:3]] == ["seen pairs, all captions", "seen pairs, two actions"]
    assert main.rows[2][1].text == "−0.060"
    assert interactions.rows[0][0] == "tokens × window + mask × norm"
    assert [row[0].text for row in cells.rows] == ["pooled_22_nomask_nonorm", "tokens_77_mask_norm"]
    assert [row[0].note for row in cells.rows] == ["3 trainings", "3 trainings"]
    (figure,) = blocks(tmp_path, Figure)
    assert len(figure.data.rows) == 10


def test_missing_cells_are_named(tmp_path):
    synthetic.confounds(tmp_path, missing=("tokens_22_mask_nonorm",))
    (absence,) = blocks(tmp_path, Absence)
    assert "tokens_22_mask_nonorm" in absence.why
    assert absence.command == "python -m casim.suite confounds"
    assert not blocks(tmp_path, Figure)


def test_how_much_the_window_cuts_is_said(tmp_path):
    synthetic.confounds(tmp_path)
    assert "1.1 % (training), 2.2 % (seen pairs) and 2.0 % (held-out pairs)" in blocks(tmp_path, Prose)[1].text


def test_the_ablation_with_effects_comes_first(tmp_path):
    synthetic.confounds(tmp_path, "a", missing=("x",))
    synthetic.confounds(tmp_path, "b")
    made = section(stored([tmp_path]))
    (other,) = [block.title for block in made.blocks if getattr(block, "title", "").startswith("Another")]
    assert other.endswith("a")


def test_trainings_of_the_ablation_have_a_chart_of_their_own(tmp_path):
    for arm in ("casim", "confound_tokens_77_mask_norm"):
        folder = synthetic.training(tmp_path, arm, 0)
        item = synthetic.record.load(folder)
        item.config["recipe"] = arm
        synthetic.record.save(item, folder)
    figures = [block for block in walk(training.section(stored([tmp_path])).blocks) if isinstance(block, Figure)]
    assert [figure.title for figure in figures] == [
        "Training loss on choreography",
        "Training loss on choreography, four-factor ablation",
    ]
