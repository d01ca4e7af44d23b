"""Another package adds to the workbench with one file and an entry point, and nothing else."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tiny import tiny_toml

from workbench import registry
from workbench.errors import WorkbenchError
from workbench.task_config import task_kinds


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a maker of an installed package of one file: ``package(group, "toy:THING", source)``.

    It is what an installer leaves: a module on the path, and metadata that names its entry point.
    """

    def make(group, target, source, *, module="toy"):
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{module} = {target}\n")
        monkeypatch.syspath_prepend(tmp_path)
        sys.modules.pop(module, None)  # an earlier test's
        forget()
        return tmp_path

    def forget():
        registry.names.cache_clear()
        registry.registered.cache_clear()

    yield make
    forget()


PAGE = """
    from tornado.web import RequestHandler

    from workbench.views.site.entry import Document, PageEntry

    class Number(RequestHandler):
        def get(self):
            self.finish("7")

    def document(visit):
        if visit.rest == "gone":
            return None
        return Document("A toy", f"<h1>{visit.rest} {visit.query.get('x')}</h1>")

    PAGE = PageEntry("toy", "Toy page", 45, document=document,
                     routes=lambda: [("/toy/number", Number)],
                     old={"tin": {"from": "tin"}, "explore": {}})
"""


def test_a_page_is_one_file(package):
    from served import Served

    from workbench.views.site.entry import pages

    package("sleep_workbench.pages", "toy:PAGE", PAGE)
    served = Served()
    try:
        status, text = served.get("/toy/inner/one?x=3")
        assert status == 200 and "<title>A toy - Sleep workbench</title>" in text
        assert "<h1>inner/one 3</h1>" in text and "websocket" not in text
        assert '<a href="/toy" aria-current=page>Toy page</a>' in text
        assert served.get("/toy/gone")[0] == 404 and "Page not found" in served.get("/toy/gone")[1]
        assert served.get("/toy/number") == (200, "7")
        status, _, head = served.answer("/tin?x=1%202")
        assert status == 302 and "\r\nLocation: /toy?x=1+2&from=tin\r\n" in head
        assert served.get("/explore")[0] == 200, "a page that exists has its own address"
    finally:
        served.stop()
    links = [page.link for page in pages()]
    assert links.index("findings") < links.index("toy")


@pytest.mark.parametrize(
    ("target", "source", "token"),
    [
        ("toy:PAGE", PAGE.replace("document=document,", ""), "document"),
        ("toy:PAGE", "PAGE = 1", "is a int"),
        ("toy:PAGE", "raise ValueError('broken')", "broken"),
        ("toy:NONE", "PAGE = 1", "NONE"),
        ("toy:PAGE", PAGE.replace('PageEntry("toy"', 'PageEntry("explore"'), "'explore'"),
        ("toy:PAGE", PAGE.replace('PageEntry("toy"', 'PageEntry("../toy"'), "../toy"),
    ],
)
def test_a_package_that_does_not_fit_is_named(package, target, source, token):
    from workbench.views.site.entry import pages

    package("sleep_workbench.pages", target, source)
    with pytest.raises(WorkbenchError, match=token):
        pages()


def test_two_packages_with_one_name_are_refused(package):
    folder = package("sleep_workbench.pages", "toy:PAGE", PAGE)
    other = folder / "second-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[sleep_workbench.pages]\ntoy = second:PAGE\n")
    with pytest.raises(WorkbenchError, match="second"):
        registry.names("sleep_workbench.pages")


TASK = '''
    from typing import Literal

    import numpy as np
    from pydantic import Field

    from workbench.batch import Batch
    from workbench.tasks import ChanceLine, Task, TaskConfig
    from workbench.tasks.pictures import Item, Query, Sentences
    from workbench.tasks.targets import ProbeTarget

    PEOPLE, PLACES = ("Ann", "Bob", "Cyd"), ("attic", "hall")


    class ToyConfig(TaskConfig):
        """Who is where: a sentence for each person.

        Attributes
        ----------
        people : int
            How many are placed.
        """

        name: Literal["toy"] = "toy"
        people: int = Field(3, ge=2, le=3)


    class Toy(Task):
        name, title = "toy", "Toy: who is where"
        difficulty_name, unit, item = "facts", "fact", "person"
        vocabulary, difficulties = (".", "?", *PEOPLE, *PLACES), (1,)
        Config = ToyConfig

        def __init__(self, config):
            self.config = config
            self.context_tokens = self.query_tokens = 3 * config.people

        def sample(self, count, generator):
            people = np.tile(np.arange(2, 2 + self.config.people), (count, 1))
            people = generator.permuted(people, axis=1)
            return self._batch(people, generator.integers(5, 7, people.shape))

        def _batch(self, people, places):
            said = np.stack([people, places, 0 * people], axis=-1).reshape(len(people), -1)
            asked = np.stack([0 * people + 1, people, places], axis=-1).reshape(len(people), -1)
            tokens = np.concatenate([said, asked], axis=1)
            answers = np.full(tokens.shape, -1)
            answers[:, self.context_tokens + 2 :: 3] = np.arange(self.config.people)
            return Batch(tokens, answers >= 0, tokens >= 0, answers, 0 * people + 1)

        def solve(self, batch):
            tokens = batch.tokens.copy()
            for row in tokens:
                place = dict(row[: self.context_tokens].reshape(-1, 3)[:, :2].tolist())
                asked = row[self.context_tokens :].reshape(-1, 3)
                asked[:, 2] = [place[person] for person in asked[:, 1].tolist()]
            return tokens

        def chance(self):
            return {"guess": ChanceLine("guess", "Either place.", {1: 0.5}, None, {1: 0.5})}

        def probe_targets(self, batch):
            said = batch.tokens[:, : self.context_tokens].reshape(len(batch), -1, 3)
            place = np.take_along_axis(said[..., 1], said[..., 0].argsort(axis=1), axis=1) - 5
            names, ids = PEOPLE[: self.config.people], np.arange(5, 7)
            asked = said[..., 0].argsort(axis=1)
            return [ProbeTarget("1 fact", 1, place, PLACES, names, None, asked, ids, "Where?")]

        def parse(self, text, queries=None):
            said = [self.vocabulary.index(word) for word in text.split()]
            people, places = np.array(said).reshape(1, -1, 2).transpose(2, 0, 1)
            return self._batch(people, places)

        def typed(self, batch, example):
            items = self.picture(batch, example).items
            return " ".join(item.name.replace(" is in ", " ") for item in items), ""

        def typing_help(self):
            return "A person and a place for each: Ann attic Bob hall."

        def picture(self, batch, example):
            symbols = self.render(batch, example)
            items, queries, half = [], [], self.context_tokens
            for i in range(self.config.people):
                who, where = symbols[3 * i : 3 * i + 2]
                items.append(Item(f"{who} is in {where}", range(3 * i, 3 * i + 3)))
                tokens = range(half + 3 * i, half + 3 * i + 3)
                queries.append(Query(f"Where is {who}", who, where, 1, tokens, (i,)))
            return Sentences(tuple(items), tuple(queries), tuple(symbols), label="Who is where")

        def summary(self):
            return f"Toy: where {self.config.people} people are"
'''


@pytest.fixture
def toy_task(package):
    """An installed task of one file; the folder it lies in."""
    from workbench.lab import settings

    known = (settings.task_settings, settings.settings_of, settings.common)
    for function in known:
        function.cache_clear()
    yield package("sleep_workbench.tasks", "toy:Toy", TASK)
    for function in known:
        function.cache_clear()


def test_a_task_is_one_file(toy_task, monkeypatch, capsys):
    """It is sampled, trained and evaluated, offered in the lab's form, and drawn on the pages."""
    monkeypatch.chdir(toy_task)
    _on_the_command_line(capsys)
    _in_the_lab()
    _in_the_theatre()


def _on_the_command_line(capsys):
    from workbench.cli import main

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        return capsys.readouterr().out

    assert ", rule110, text, toy, variables" in " ".join(run("sample", "--help").split())
    text = run("sample", "toy", "--set", "people=2")
    assert "Where is Ann = " in text and "Bob" in text and "Cyd" not in text
    Path("toy.toml").write_text(tiny_toml(task={"name": "toy"}, sleep={"window": 9}))
    run("train", "toy.toml", "--out", "runs/toy")
    said = run("eval", "runs/toy", "--count", "8")
    assert "facts 1" in said and "guess" in said
    assert "trained on toy (people = 3)" in Path("runs/toy/checkpoint/card.md").read_text()


def _in_the_lab():
    from workbench.lab.proposal import check, points_of, usual
    from workbench.tasks.phrases import level_words
    from workbench.views.lab import words

    spec = words.spec("toy")
    form = {task["name"]: (task["title"], task["describes"]) for task in spec["tasks"]}
    assert form["toy"] == ("Toy: who is where", "Who is where: a sentence for each person.")
    people = next(s for s in spec["settings"] if s["name"] == "task.people")
    assert people["common"] and people["bounds"] == "2 to 3"
    assert points_of("toy") == ["toy"] and check(usual("toy", [])).problems == {}
    assert level_words(2, "facts") == "2 facts"


def _in_the_theatre():
    from scenes import decode

    from workbench.theatre.asks import Asks
    from workbench.theatre.instruments import INSTRUMENTS
    from workbench.training.checkpoints import load_checkpoint

    found = load_checkpoint("runs/toy")
    asks, ask = Asks(lambda name: found), {"what": "scene", "name": "toy", "N": 1}
    header = decode(asks.scene(ask)).header
    assert header["picture"]["kind"] == "sentences" and len(header["picture"]["items"]) == 3
    assert header["task"]["query_form"] == "", "its queries are fixed"
    assert header["task"]["typing_help"] == found.task.typing_help()
    typed = decode(asks.scene(ask | {"input": "Bob hall Ann attic Cyd hall"})).header
    assert [item["name"] for item in typed["picture"]["items"]][0] == "Bob is in hall"
    assert [query["label"] for query in typed["queries"]][:2] == ["Where is Bob", "Where is Ann"]
    place = {"layer": header["layers"][0], "head": 0, "window": 0, "pass": 1}
    for name in INSTRUMENTS:
        answer = asks.answer(ask | place | {"what": "instrument", "instrument": name})
        assert answer.problem == "" and answer.result["plots"], name


@pytest.mark.parametrize(
    ("source", "token"),
    [
        ("class Toy: name = 'toy'", "Config"),
        (TASK.replace('name, title = "toy"', 'name, title = "other"'), "another name"),
        (TASK.replace("def picture", "def image"), "lacks picture"),
        (TASK.replace('name, title = "toy", ', "name, heading = 'toy', "), "lacks title"),
        (TASK.replace('name: Literal["toy"] = "toy"', 'name: str = "other"'), "another name"),
    ],
)
def test_a_task_that_does_not_fit_is_named(package, source, token):
    package("sleep_workbench.tasks", "toy:Toy", source)
    with pytest.raises(WorkbenchError, match=token):
        task_kinds()


MIXER = """
    from workbench.mixers import Mixer

    TOY = Mixer("Toy writes", "a test", decays=False, corrects=False, order=50)
"""


USE = """
    import torch

    from workbench.config import ModelConfig, layer_kinds
    from workbench.lab.arms import ARMS
    from workbench.model import HybridModel
    from workbench.lab.results.questions import RULES

    assert layer_kinds()[-1] == "toy", layer_kinds()
    assert ARMS["rule_toy"].title == "Toy writes"
    assert ("rule_toy", "4") in RULES
    config = ModelConfig(vocabulary=7, width=8, attention_heads=2, gdn_heads=2, key_dim=4,
                         value_dim=3, mlp_width=6, layers=("attention", "toy"))
    layer = HybridModel(config, seed=0).stack[1].mixer
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    written = layer.writes(x, None, None)
    # no decay and no correction: S grows by beta k v^T
    grown = torch.einsum("bth,bthk,bthv->bhkv", written.beta, written.k, written.v)
    state = layer(x, torch.zeros(1, 2, 4, 3), None, None).state
    torch.testing.assert_close(state, grown, rtol=1e-5, atol=1e-6)
"""


@pytest.mark.process
def test_a_mixer_is_one_entry(package):
    folder = package("sleep_workbench.mixers", "toy:TOY", MIXER)
    command = [sys.executable, "-P", "-c", textwrap.dedent(USE)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(folder)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


MEASUREMENT = '''
    """How long the examples are: one file, as another package would add it."""

    import plotly.graph_objects as go
    import xarray as xr
    from pydantic import Field

    from workbench.measurements.base import Chart, Measurement, Settings, drawn


    class ToySettings(Settings):
        """How long the examples are.

        Attributes
        ----------
        factor : int
            What lengths are multiplied by.
        """

        factor: int = Field(3, ge=1, le=9)


    def run(checkpoint, settings, reporter):
        count = reporter.counter(1)
        batch, sleep = drawn(checkpoint, settings)
        count(1)
        return xr.Dataset({"length": settings.factor * batch.tokens.shape[1]})


    def tables(data):
        return {"lengths": [["", "tokens"], ["all", str(int(data["length"]))]]}


    def charts(data):
        def draw(theme):
            return go.Figure(go.Bar(y=[int(data["length"])]))

        return [Chart("Length as a bar", "It says nothing about content.", draw)]


    TOY = Measurement(
        title="How long the examples are",
        order=15,
        says="The number of tokens, times a factor.",
        settings=ToySettings,
        run=run,
        tables=tables,
        charts=charts,
        words={"toy word": "A word that the toy brings along."},
    )
'''


@pytest.fixture
def toy_measurement(package):
    package(
        "sleep_workbench.measurements", "toy_measurement:TOY", MEASUREMENT, module="toy_measurement"
    )
    return "toy_measurement"


def test_a_measurement_is_one_file(toy_measurement, tmp_path, capsys, monkeypatch):
    from workbench.cli import main
    from workbench.views.findings import parts
    from workbench.views.findings.page import document
    from workbench.views.site.entry import Visit
    from workbench.views.site.glossary import words_html

    toy, record = toy_measurement, tmp_path / "toy_measurement-depo-n8-any.json"

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["measure", *arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out

    shown = call("--help")
    assert "How long the examples are\n               examples=256 factor=3" in shown
    assert shown.index("\n  memory ") < shown.index(f"\n  {toy} ") < shown.index("\n  lens ")
    call(toy, "depo-n8-any", "--set", "examples=4", "--set", "factor=2", "--out", str(record))

    monkeypatch.setattr(parts, "records_of", lambda kind, root: {"mine": ("mine", record)})
    text = parts.part_html(f"{toy}/mine", {}, None)
    assert "times a factor" in text and "<td>96</td>" in text and "content" in text
    assert "Length as a bar" in text
    assert json.loads(parts.figure_json(f"{toy}/mine", 0, "light", {}, None))["data"]

    shown = document(Visit(rest="measure"))
    assert "How long the examples are" in shown.body and "Not measured yet" in shown.body
    form = shown.data["measure"]
    assert [name for name, _ in form["kinds"]][:3] == ["memory", toy, "lens"]
    assert form["fields"][toy][-1]["hint"] == "What lengths are multiplied by. 1 to 9."
    assert "<dt>toy word</dt>" in words_html()
