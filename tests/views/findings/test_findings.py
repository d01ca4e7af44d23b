"""The page Findings without a browser: questions with answers, figures, numbers."""

import csv
import io
import json
import re
from html import unescape

import pytest
from hand_records import hand_run, write_record

from workbench.errors import WorkbenchError
from workbench.figures.theme import BYTES
from workbench.lab.results import bundled
from workbench.measurements.shelf import bundled_records
from workbench.views.findings import catalogue, parts
from workbench.views.findings.page import document
from workbench.views.site.entry import Visit, pages
from workbench.views.site.services import services

SHARES = {("sleep", "1"): 0.2, ("sleep", "4"): 0.9, ("longer", "1"): 0.5}
ONE_OF_A_KIND = list({name.partition("-")[0]: name for name in bundled_records()}.values())


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Let the only sweep be one worked out by hand, on rings of 8 and of 12 nodes.

    On 12 nodes every share of 2 hops is 0.1 less.
    """
    runs = [
        hand_run(arm, n, seed, share + 0.02 * seed, passes=4 if arm == "longer" else None)
        for (arm, n), share in SHARES.items()
        for seed in (0, 1, 2)
    ]
    path = write_record(tmp_path / "hand.json", runs)
    found = json.loads(path.read_text())
    crossed = []
    for nodes, less in ((8, 0.0), (12, 0.1)):
        for one in found["runs"]:
            labels = one["labels"] | {"axes": {"task.nodes": nodes}}
            labels["identity"] += str(nodes)
            share = one["final"]["1"]["accuracy"]["2"] - less
            final = {n: {"accuracy": {"1": 1.0, "2": share}, "exact": share} for n in ("1", "4")}
            config = one["config"].replace("nodes = 8", f"nodes = {nodes}")
            crossed.append({**one, "labels": labels, "final": final, "config": config})
    path.write_text(json.dumps({**found, "runs": crossed}))
    monkeypatch.setattr(bundled, "records", lambda: {"hand": path})
    return path


def text_of(html):
    return unescape(re.sub("<[^>]+>", " ", html))


def shown(rest, **query):
    found = document(Visit(query, rest))
    return text_of(found.body.partition("<article")[2]), found


def test_the_page_replaces_three_and_their_addresses_still_lead_to_what_they_named():
    (entry,) = (page for page in pages() if page.link == "findings")
    assert set(entry.old) == {"results", "instruments", "probes"}
    for query, title in (
        ({"record": "depo-n8"}, "Does more sleep help at equal tokens?"),
        ({"measurement": "lens-depo-n8-any"}, "What would it answer if it woke after each pass?"),
        ({"checkpoint": "depo-n8-w2-any", "target": "1 hop"}, "What can be read from S"),
        ({}, "Does more sleep help at equal tokens?"),
    ):
        said, found = shown("", **query)
        assert found.title.startswith(title.partition("?")[0]) and "no finding" not in said
    assert "There is no finding 'nothing'" in shown("", record="nothing")[0]
    assert document(Visit(rest="nothing/at-all")) is None
    assert document(Visit(rest="probes/nothing")) is None


def test_every_question_has_its_answer_in_the_document_itself():
    _, found = shown("depo-n8/equal-flops")
    side = text_of(found.body.partition("<article")[0])
    for one in catalogue.catalogue(None):
        assert one.title in side and one.answer in side
        assert one.answer, f"{one.title} has no answer"
    said = found.body.partition("<article")[2]
    assert "<h1>Or is it only the compute?</h1>" in said and "How sure" in said
    assert found.data["at"] == "depo-n8/equal-flops" and len(found.fetches) == 1


def test_a_further_axis_is_chosen_by_address(record):
    said, found = shown("hand/equal-flops")
    assert "0.40 above longer" in said and '<option value="12">12</option>' in found.body
    at = {"task.nodes": "12"}
    assert found.data["options"] == {"task.nodes": "8"}
    assert shown("hand/equal-flops", **at)[1].data["options"] == at
    html = parts.part_html("hand/equal-flops", at, None)
    assert "0.82 [0.77, 0.87]" in html and "--axis task.nodes=12" in html
    assert "9 training runs at task.nodes = 12 (of 18 runs in all)" in html
    name, text = parts.csv_file("hand/equal-flops", "", at, None)
    assert name == "hand-nodes12-equal-flops.csv"
    rows = {(r["condition"], r["difficulty"]): r for r in csv.DictReader(io.StringIO(text))}
    assert float(rows["sleep, N = 4", "2"]["mean"]) == pytest.approx(0.82)
    name, text = parts.csv_file("hand/equal-flops", "differences", at, None)
    assert name == "hand-nodes12-equal-flops-differences.csv" and "p_exact_holm" in text


def test_a_question_is_drawn_in_both_themes_and_drawn_once(record, monkeypatch):
    light, dark = (
        json.loads(parts.figure_json("hand/equal-tokens", 0, theme, {}, None))
        for theme in ("light", "dark")
    )
    assert light["data"] and light["layout"] != dark["layout"]
    monkeypatch.setattr(parts, "question_figure", None)
    assert json.loads(parts.figure_json("hand/equal-tokens", 0, "dark", {}, None)) == dark
    with pytest.raises(WorkbenchError, match="question 'nothing'"):
        parts.figure_json("hand/nothing", 0, "light", {}, None)


@pytest.mark.parametrize("value", ["999", "x", "", "9" * 5_000, "\u0661"])
def test_a_value_that_there_is_not_is_said_and_not_replaced_in_silence(record, value):
    said, found = shown("hand/equal-flops", **{"task.nodes": value})
    assert f"There is no task.nodes = {value[:40]}" in said
    assert found.data["options"] == {"task.nodes": "8"}
    with pytest.raises(WorkbenchError, match="task.nodes = .*; expected one of 8, 12"):
        parts.figure_json("hand/equal-flops", 0, "light", {"task.nodes": value}, None)
    with pytest.raises(WorkbenchError, match="sleep_pass = .*; expected 0 to 3, a place"):
        parts.figure_json("steering/depo-n8-any", 0, "light", {"sleep_pass": value}, None)


@pytest.mark.parametrize(
    "rest, query, words",
    [
        ("", {"checkpoint": "nobody"}, "There is no finding 'probes/nobody'"),
        ("", {"measurement": "lens-nobody"}, "There is no finding 'lens/lens-nobody'"),
        ("measure", {"kind": "nothing"}, "There is no measurement 'nothing'"),
    ],
)
def test_what_an_address_names_in_vain_is_said(rest, query, words):
    assert words in shown(rest, **query)[0]


def test_a_damaged_record_is_one_line_of_the_list(record):
    record.write_text("{")
    said, found = shown("")
    assert "is not valid JSON" in said
    assert "What does the paper report?" in text_of(found.body)


def test_a_changed_record_is_answered_again(record):
    """Its hash is not that of the answers that are bundled, so that these are not taken."""
    first = catalogue.of_sweep("depo-n8", record)
    assert "0.40 above longer" in next(f.answer for f in first if "equal-flops" in f.path)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_a_measurement_has_figures_numbers_and_its_command(name):
    kind, _, end = name.partition("-")
    html = parts.part_html(f"{kind}/{end}", {}, None)
    assert f"workbench measure {kind} " in html
    assert "<table>" in html and "failure" not in html and "How sure" in html
    for at, number in re.findall(r'data-at="([^"]+)" data-number="(\d+)"', html):
        light, dark = (parts.figure_json(at, int(number), t, {}, None) for t in ("light", "dark"))
        assert light != dark and len(light) < BYTES
    file, text = parts.csv_file(f"{kind}/{end}", "", {}, None)
    assert file == f"{name}.csv" and text.splitlines()[0].endswith("variable,value")


def test_probes_lead_with_what_exceeds_the_baseline_and_with_steering():
    html = parts.part_html("probes/depo-n8-any", {}, None)
    titles = re.findall("<h2>([^<]+)</h2>", html)
    assert titles[:2] == ["Above the best baseline", "Answers that follow"]
    assert titles.index("Selectivity") > 2 and 'data-at="steering/depo-n8-any"' in html
    assert "not made with this model" in parts.part_html("probes/depo-n8-w2-any", {}, None)
    number = re.search(r'<h2>Item by item</h2><figure class="plot" [^>]*number="(\d+)"', html)[1]
    last, first = (
        json.loads(parts.figure_json("probes/depo-n8-any", int(number), "light", chosen, None))
        for chosen in ({}, {"target": "0", "sleep_pass": "1"})
    )
    assert last["layout"]["title"]["text"].startswith("4 hops, after pass 4")
    assert first["layout"]["title"]["text"].startswith("1 hop, after pass 1")


def test_latency_and_the_papers_numbers_are_findings():
    assert "loop awake" in shown("latency")[0]
    assert json.loads(parts.figure_json("latency", 0, "dark", {}, None))["data"]
    assert "0.742" in parts.part_html("paper", {}, None)


def test_the_form_knows_every_measurement_and_model(tmp_path, monkeypatch):
    monkeypatch.setattr(services(), "runs", None)
    said, found = shown("measure")
    assert "starts no processes" in said
    monkeypatch.setattr(services(), "runs", tmp_path)
    said, found = shown("measure", kind="probes", checkpoint="depo-n8-n1")
    form = found.data["measure"]
    assert "starts no processes" not in said and form["kind"] == "probes"
    assert form["checkpoint"] == "depo-n8-n1" and "depo-n8-n1" in form["checkpoints"]
    assert [f["name"] for f in form["fields"]["probes"]][-1] == "splits"
