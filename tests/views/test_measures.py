"""Where a task declares a measure, its runs are shown by that measure, group by group."""

from pathlib import Path

import numpy as np
import pytest
from hand_records import hand_run

from workbench.figures.lab.learning import learning_curves
from workbench.figures.lab.questions import question_figure
from workbench.lab.record import scores_of
from workbench.lab.results import dataset, final, learning, questions
from workbench.lab.results.differences import family
from workbench.lab.results.rows import difference_rows, means_rows
from workbench.lab.runs import Run
from workbench.views.findings.sweeps import Sweep
from workbench.views.lab.figures import curve_rows

GROUPS = {"all": 2.0, "names": 3.0}


def evaluation(more):
    bits = {group: {"bits": value + more, "interval": None} for group, value in GROUPS.items()}
    accuracy = {"1": 0.1, "2": 0.0}
    return {"accuracy": accuracy, "exact": 0.0, "chance": {}, "bits": bits}


def text_run(n_train, seed):
    """A run whose bits fall by N / 10, with a difference of 0.02 between seeds."""
    passes = {n: evaluation(0.02 * seed - int(n) / 10) for n in ("0", "1", "2")}
    run = hand_run("sleep", n_train, seed, 0.0)
    return run | {
        "task": "text",
        "difficulty": "distance",
        "config": '[task]\nname = "text"\n',
        "chance": {"uniform letters": {"accuracy": {"1": 0.1, "2": 0.1}, "exact": None}},
        "curve": {"step": [5], "passes": [scores_of({n_train: evaluation(1.0)})]},
        "final": scores_of(passes),
    }


RUNS = [text_run(n, seed) for n in ("1", "2") for seed in (0, 1)]


def test_bits_by_group_stand_where_accuracy_by_difficulty_does():
    data = dataset(RUNS)
    assert data.attrs["measure"] == "bits per character" and data.attrs["difficulty"] == ""
    assert data["difficulty"].values.tolist() == ["all", "names"]
    assert data.sizes["chance_line"] == 0, "the lines are of accuracy"
    at = {"arm": "sleep", "n_train": "2", "seed": 1, "n_test": 2}
    values = data["accuracy"].sel(at).transpose("step", "difficulty")
    np.testing.assert_allclose(values, [[3.0, 4.0], [1.82, 2.82]])
    rows = list(curve_rows(RUNS))
    assert ("sleep-2-1", "hand", "sleep", "2", 1, 10, "bits", "2", "names", 2.82) in rows


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_and_tables_name_the_measure(theme):
    data = dataset(RUNS)
    figure = learning_curves(learning(data), difficulty_name="", measure=data.attrs["measure"])
    assert figure.layout.yaxis2.title.text == "bits per character"
    assert figure.layout.yaxis2.range is None, "bits are not shares"
    found = questions.answers(data, final(data))
    assert [question.name for question, _ in found][:1] == ["equal_tokens"]
    assert "solved" not in [question.name for question, _ in found]
    for question, table in found:
        question_figure(question.figure, table, theme=theme)
    tests = family(final(data))
    assert not tests.equal_size, "equality within 0.05 is meant of accuracy"
    question, table = found[0]
    assert means_rows(table)[0] == ["arm", "N", "all", "names", "seeds"]
    assert means_rows(table)[1][2].startswith("1.91 [")
    assert difference_rows(tests, question, "group")[1][2].startswith("-0.10 [")
    record = {"title": "T", "runs": [run | {"versions": {}} for run in RUNS]}
    said = Sweep(Path("t.json"), record, {}).html("equal_tokens")["about"]
    assert "read bits per character: less is better" in said


def test_a_row_of_the_lab_shows_bits(tmp_path):
    from workbench.views.lab.rows import row

    (tmp_path / "experiment.toml").write_text(
        '[model]\nvocabulary = 98\nwidth = 8\n[sleep]\nwindow = 64\norder = "predict_then_sleep"\n'
        '[task]\nname = "text"\n'
    )
    run = Run("r", tmp_path, "finished", evaluation={"2": evaluation(0.0)})
    assert row(run, "finished", {})["levels"] == [
        ["all", "bits per character, all", 0, "2.00"],
        ["names", "bits per character, names", 0, "3.00"],
    ]
