"""The home page: its words, the story before it is played, and what it says of each model."""

import json
from html import escape

import pytest

from workbench.config import UntilAnswersSettle, UntilMemorySettles
from workbench.theatre.story import story
from workbench.views.home import catalogue
from workbench.views.home import page as home
from workbench.views.site.entry import Visit

METRICS = {
    "difficulty": "hops",
    "count": 100,
    "passes": {
        "1": {
            "accuracy": {"1": 0.9, "2": 0.4},
            "chance": {"uniform guess": {"accuracy": {"1": 0.125, "2": 0.125}}},
        },
        "4": {"accuracy": {"1": 0.999, "2": 1.0}, "chance": {}},
    },
}
CONFIG = """
[sleep]
window = 16
passes = { kind = "random", low = 1, high = 4 }
[task]
name = "depo"
nodes = 8
max_hops = 4
"""
BAD = "<img src=x onerror=alert(1)>"


@pytest.fixture
def entry(tmp_path):
    """Return a function that reads a checkpoint's folder, with its provenance changed or given."""

    def read(change=lambda record: None, *, name="ring", text=None, config=CONFIG):
        budget = {"parameters": 89432, "steps": 10}
        record = json.loads(json.dumps({"metrics": METRICS, "budget": budget}))
        change(record)
        (tmp_path / "config.toml").write_text(config)
        (tmp_path / "provenance.json").write_text(json.dumps(record) if text is None else text)
        return catalogue.read_entry(name, tmp_path)

    return read


def test_a_card_says_what_was_trained_and_how_it_was_measured(entry):
    def more(record):
        record["budget"]["seconds"] = 14.2
        record["seed"] = 3
        record["metrics"]["passes"]["1"]["interval"] = {"accuracy": {"1": [0.88, 0.915]}}

    found = entry(more)
    assert found.task == "Depo: follow the arrows of a ring of 8 nodes, 1 to 4 hops"
    assert found.trained == "trained with N drawn from 1 to 4, windows of 16 tokens"
    html = home.card_html(found, Visit())
    for text in (
        "/explore?model=ring", "89,432 parameters", "99.9 %", "100.0 %", "12.5 %",
        "uniform guess", "14 s of training", 'title="95 % interval: 88.0 to 91.5 %"',
        "Measured on 100 evaluation examples, one training run (seed 3)",
        "95 % intervals reach at most 2.0 points",
    ):  # fmt: skip
        assert text in html, text


def test_a_card_shows_first_queries_where_they_were_measured(entry):
    def first(record):
        one = record["metrics"]["passes"]["1"]
        one["first"] = {"accuracy": {"1": 0.432}, "interval": {"1": [0.4, 0.5]}}
        one["chance"]["a guess"] = {"accuracy": {"1": 0.9}, "exact": None, "first": {"1": 0.123}}

    summary = "<summary>First query of each example alone</summary>"
    _, found, below = home.card_html(entry(first), Visit()).partition(summary)
    assert found and "43.2" in below and "12.3" in below and "40.0 to 50.0" in below
    assert summary not in home.card_html(entry(), Visit())


def test_home_leads_on_and_says_how_to_train():
    html = home.home(Visit(prefix="/w"), []).body
    for text in ("https://arxiv.org/abs/2605.26099", "CITATION.cff", "python3 run.py lab",
                 "method.md", "workbench train"):  # fmt: skip
        assert text in html
    for link in home.LINKS:
        assert f'<a class="card" href="/w/{link}">' in html


def test_the_story_is_there_in_words_before_it_is_played():
    page = home.home(Visit(prefix="/w"), [])
    for scene in story().scene:
        for text in (scene.title, scene.sentence, scene.question, scene.why, *scene.choices):
            assert escape(text) in page.body, text
    assert page.data["story"]["site"] == "/w/" and len(page.data["story"]["scenes"]) == 6
    assert page.fetches == ("explore/first?model=depo-n8-any&seed=0&example=5&N=4",)
    assert page.data["first"] == f"/w/{page.fetches[0]}", "what is fetched early is what is shown"
    assert home.document(Visit(rest="more")) is None


def test_without_the_first_model_home_has_words_alone(monkeypatch):
    monkeypatch.setattr(home, "bundled_checkpoints", dict)
    page = home.home(Visit(), [])
    assert page.scripts == () and "theatre" not in page.body and "workbench train" in page.body


def test_what_is_rounded_to_all_or_nothing_says_so():
    shares = (0.125, 1.0, 0.9996, 0.0003, 0.0, 0.996)
    words = ["12.5 %", "100.0 %", "> 99.9 %", "< 0.1 %", "0.0 %", "99.6 %"]
    assert [home.percent(share) for share in shares] == words


@pytest.mark.parametrize("text", ["", "[]", "{", '{"metrics": {"passes": {"1": {}}}}'])
def test_a_damaged_provenance_is_reported(entry, text):
    html = home.card_html(entry(name="<ring>", text=text), Visit())
    assert "Cannot be read" in html and "<ring>" not in html
    assert "Cannot be read" in home.card_html(entry(config="sleep = 3"), Visit())


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["budget"].update(parameters="many"),
        lambda r: r["budget"].update(seconds="long"),
        lambda r: r.update(budget=7),
        lambda r: r["metrics"].update(count="all"),
        lambda r: r["metrics"]["passes"]["1"]["accuracy"].update({"1": "high"}),
        lambda r: r["metrics"]["passes"]["1"].update(interval=3),
    ],
)
def test_a_bad_provenance_costs_its_own_card_only(entry, change):
    html = home.models_html(Visit(), [entry(change, name="bad"), entry(name="good")])
    assert html.count("Cannot be read: ") == 1
    assert "explore?model=good" in html and "explore?model=bad" not in html


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["metrics"].update(difficulty=BAD),
        lambda r: r["metrics"]["passes"].update({BAD: r["metrics"]["passes"]["4"]}),
        lambda r: r["metrics"]["passes"]["1"]["accuracy"].update({BAD: 0.5}),
        lambda r: r["metrics"]["passes"]["1"]["chance"].update({BAD: {"accuracy": {"1": 0.1}}}),
        lambda r: r.update(seed=BAD),
    ],
)
def test_nothing_from_a_provenance_reaches_the_page_as_html(entry, change):
    html = home.models_html(Visit(), [entry(change)])
    assert "<img" not in html and "&lt;img src=x onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        (3, "trained with N = 3"),
        (UntilMemorySettles(cap=9), "N up to 9, sleeping until the memory settles"),
        (UntilAnswersSettle(cap=9), "N up to 9, sleeping until the answers settle"),
    ],
)
def test_every_rule_of_n_has_words(passes, words):
    assert words in catalogue.passes_words(passes)
