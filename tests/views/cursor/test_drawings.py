"""Examples, drawn and typed, and how they are drawn on the page."""

import re
from dataclasses import replace

import numpy as np
import pytest

from workbench.tasks import task
from workbench.tasks.pictures import Edge, Graph, Item, Passage, Query, Sentences
from workbench.theatre.problem import drawn, typed
from workbench.views.cursor import drawings

RING = "0>3 3>5 5>1 1>0"


@pytest.fixture
def depo():
    return task("depo", nodes=8, max_hops=4, names="single", queries=8)


@pytest.fixture
def rule110():
    return task("rule110", cells=12, strings=2, rollout=8)


def test_drawn_examples_repeat_and_differ(depo):
    first, again = drawn(depo, 3, 5), drawn(depo, 3, 5)
    np.testing.assert_array_equal(first.batch.tokens, again.batch.tokens)
    assert first.as_typed != drawn(depo, 3, 6).as_typed
    assert first.as_typed != drawn(depo, 4, 5).as_typed


@pytest.mark.parametrize("name", ["depo", "rule110"])
def test_what_is_shown_can_be_typed(name, request):
    kind = request.getfixturevalue(name)
    problem = drawn(kind, 0, 0)
    again = typed(kind, *problem.as_typed)
    np.testing.assert_array_equal(again.batch.tokens, problem.batch.tokens)
    assert again.queries == problem.queries


@pytest.mark.parametrize("nodes", [4, 8, 12])
def test_the_hint_can_be_typed_and_has_the_trained_size(nodes, rule110):
    kind = task("depo", nodes=nodes, max_hops=4, names="single", queries=4)
    text = kind.typing_help().removeprefix("Edges that form one ring, such as ").removesuffix(".")
    assert len(typed(kind, text).picture.items) == nodes
    assert rule110.typing_help() == "2 strings of 12 bits, separated by blanks."
    assert "a>b" in task("depo", nodes=40, max_hops=4, queries=4).typing_help()


@pytest.mark.parametrize("text", ["0>3 3>5 5>0", RING, "0>1 1>2 2>3 3>4 4>5 5>6 6>7 7>0"])
def test_a_ring_of_any_size_keeps_its_labels_apart(depo, text):
    """Numbers lie beside their own edge, and the question inside the ring, off the edges."""
    problem = typed(depo, text, "4:0")
    svg = drawings.draw(problem.picture, problem.queries[0], "3")
    edges = [
        [float(part) for part in found]
        for found in re.findall(r'class="hop" [^>]*d="M(\S+) (\S+?)L(\S+) (\S+)"', svg)
    ]
    numbers = [
        [float(part) for part in found]
        for found in re.findall(r'class="hop-number" x="(\S+)" y="(\S+)"', svg)
    ]
    assert len(edges) == len(numbers) == min(4, len(problem.picture.items))
    for (x0, y0, x1, y1), (x, y) in zip(edges, numbers, strict=True):
        assert np.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2) < 27, "far from its edge"
        assert abs(x) < 138 and abs(y) < 128, "outside the picture"
    top = float(re.search(r'class="ask" y="(\S+)"', svg)[1])
    for x0, y0, x1, y1 in edges:
        if min(y0, y1) < top < max(y0, y1):
            across = x0 + (x1 - x0) * (top - y0) / (y1 - y0)
            assert abs(across) > 50, "the question lies across an edge"


def test_queries_in_words(depo):
    problem = typed(depo, RING, "1:0, 2:5")
    assert [q.label for q in problem.queries] == ["1 hop from 0", "2 hops from 5"]
    assert [q.answer for q in problem.queries] == ["3", "0"]
    edges = [(edge.source, edge.target) for edge in problem.picture.items]
    assert edges == [("0", "3"), ("3", "5"), ("5", "1"), ("1", "0")]
    assert [query.path for query in problem.queries] == [(0,), (2, 3)]


def test_the_ring_marks_path_and_answers(depo):
    problem = typed(depo, RING, "2:5")
    svg = drawings.draw(problem.picture, problem.queries[0], "3")
    assert svg.count('class="hop"') == 2 and svg.count('class="edge"') == 2
    assert svg.count("node start") == 1 and svg.count(" right") >= 1 and svg.count("wrong") >= 1
    assert "Ring of 4 nodes: 0 to 3 to 5 to 1 and back" in svg
    assert "✗" in svg
    right = drawings.draw(problem.picture, problem.queries[0], "0", correct=True)
    assert "✓" in right and "node wrong" not in right and ' wrong"' not in right


@pytest.mark.parametrize("boundary", ["periodic", "zero_background"])
def test_the_automaton_ends_at_the_label(boundary):
    kind = task("rule110", cells=12, strings=2, rollout=8, boundary=boundary)
    problem = drawn(kind, 0, 3)
    strings = problem.batch.tokens[0, :24].reshape(2, 12)
    for bits, item, query in zip(strings, problem.picture.items, problem.queries, strict=True):
        rows = np.array(item.rows)
        assert rows.shape == (9, 12) and str(rows[item.target]) == query.answer
        np.testing.assert_array_equal(rows[0], bits)
    right = problem.queries[0].answer
    for correct, mark in ((False, "✗"), (True, "✓")):
        html = drawings.draw(problem.picture, problem.queries[0], right, correct=correct)
        assert "framed first row" in html and mark in html


def test_tokens_show_what_is_evicted_and_cached(depo):
    problem = drawn(depo, 0, 0)
    spans, awake = ((0, 16), (16, 32), (32, 48)), (False, True, True)
    html = drawings.tokens(problem, spans, awake, (1, 1), range(16, 32))
    assert html.count('class="window past"') == 1 and html.count('class="window now"') == 1
    assert "KV cache: 16" in html and html.count(" kept") == 16
    assert html.count('class="chip"') == 16, "8 edges, 8 queries"
    edge = problem.picture.items[0]
    assert f"{edge.source} {edge.target} means {edge.source} → {edge.target}" in html
    for cached, fate, gone in (
        (range(0), "evicted", 16), (range(1, 16), "partly evicted", 1), (range(16), "kept", 0),
    ):  # fmt: skip
        html = drawings.tokens(problem, spans, awake, (1, 0), cached)
        assert f"<span>{fate}</span>" in html and html.count(" gone") == gone
        assert html.count(" kept") == len(cached), "a sliding cache strikes out nothing it holds"


def test_padding_and_long_names_are_drawn():
    kind = task("depo", nodes=6, max_hops=4, names="depo2", queries=3, n_dist="uniform")
    for example in range(4):
        problem = drawn(kind, 1, example)
        length = problem.batch.tokens.shape[1]
        html = drawings.tokens(problem, ((0, length),), (True,), (0, 1), range(length))
        assert html.count('<span class="t') == length
        assert drawings.draw(problem.picture, problem.queries[0], None)


def test_what_comes_from_outside_is_escaped(depo, rule110):
    """Names, labels and answers go into the page as text, whatever they hold."""
    bad = "<img onerror=alert(1)>"
    problem = typed(depo, RING, "1:0")
    query = replace(problem.queries[0], label=f"{bad} label")
    ring = drawings.draw(problem.picture, query, f"{bad} answer")
    bits = drawn(rule110, 0, 0)
    automaton = drawings.draw(bits.picture, bits.queries[0], f"{bad} answer")
    for html in (ring, automaton):
        assert "<img" not in html and "&lt;img onerror=alert(1)&gt; answer" in html
    assert "&lt;img onerror=alert(1)&gt; label" in ring
    odd = task("depo", nodes=8, max_hops=4, names="single", queries=8)
    odd.vocabulary = tuple("<b>" if s == "3" else s for s in odd.vocabulary)
    shown = drawings.tokens(typed(odd, RING), ((0, 48),), (True,), (0, 1), range(48))
    assert "<b>" not in shown and "&lt;b&gt;" in shown


def test_a_long_rollout_is_drawn_in_bounds_and_says_so():
    kind = task("rule110", cells=24, strings=4, rollout=4096)
    problem = drawn(kind, 0, 0)
    html = drawings.draw(problem.picture, problem.queries[0], "1")
    assert len(html) < 200_000
    assert "Steps 48 to 4048 are left out." in html
    short = task("rule110", cells=24, strings=4, rollout=8)
    assert "left out" not in drawings.draw(drawn(short, 0, 0).picture)


def test_a_graph_need_not_be_a_ring():
    """Two arrows may leave a node, and not every node has to have one."""
    edges = [Edge(f"{a} to {b}", range(0), a, b) for a, b in ("ab", "ac", "de")]
    query = Query("from a", "a", "c", 1, range(0), (1,))
    svg = drawings.draw(Graph(tuple(edges), (query,), ()), query, "b")
    assert svg.count("<circle") == 5 and svg.count('class="edge"') == 2
    assert svg.count('class="hop"') == 1 and svg.count("node right") == svg.count("node wrong") == 1


def test_sentences_are_numbered_along_the_path_and_coloured():
    items = tuple(Item(text, range(0)) for text in ("x = 2", "y < 3", "z = x"))
    query = Query("z", "z", "2", 2, range(0), (2, 0))
    html = drawings.draw(Sentences(items, (query,), ()), query, "3", weights=[1.0, 0.0, -0.5])
    numbers = re.findall(r'<li( class="hop")?[^>]*>(?:<b class="hop-number">(\d)</b> )?', html)
    assert [number for _, number in numbers] == ["2", "", "1"]
    assert "y &lt; 3" in html and "var(--orange) 100%" in html and "3 ✗" in html


def test_sentences_say_what_is_needed_evicted_and_written():
    """d follows from a and b; c builds on d, which the answer to d does not need."""
    kind = task("variables", variables=4, names=4, given=2, sums=0.5)
    problem = typed(kind, "a 3 =, c d +1, b 4 =, d a b", "d")
    query = problem.queries[0]
    first = kind.context_tokens - 12
    html = drawings.draw(
        problem.picture, query, "2", evicted=first + 6, written=[0.5, -0.04, 0.0, 0.54]
    )
    lines = re.findall(r"<li(?: class=\"(.*?)\")?>(.*?)</li>", html)
    assert [kind for kind, _ in lines] == ["hop gone", "spare gone", "hop", "hop"]
    numbers = [re.findall(r"hop-number\">(\d)", text) for _, text in lines]
    assert numbers == [["1"], [], ["2"], ["3"]]
    assert [re.findall(r">(\S+) %</span>", text)[0] for _, text in lines] == ["50", "−4", "0", "54"]
    nodes = re.findall(
        r'<g class="(.*?)"><title>.*?</title>.*?<text x="(.*?)" y="(.*?)">(.*?)<', html
    )
    depth = {text: float(y) for _, _, y, text in nodes}
    assert depth["a = 3"] == depth["b = 4"] < depth["d = 2"] < depth["c = 3"]
    assert {text: kind for kind, _, _, text in nodes} == {
        "a = 3": "node on", "b = 4": "node on", "d = 2": "node on right", "c = 3": "node",
    }  # fmt: skip
    assert html.count('<path class="hop"') == 2 and html.count('<path class="edge"') == 1


@pytest.mark.parametrize("settings", [{}, {"mode": "reverse"}, {"d": 3}])
def test_a_word_problem_is_drawn_with_what_it_follows_from(settings):
    kind = task("gsm_infinite", max_operations=4, length=900, **settings)
    batch = drawn(kind, 0, 0).task.sample(5, np.random.default_rng(0))
    for example in range(5):
        picture = kind.picture(batch, example)
        query = picture.queries[0]
        assert set(query.parents) <= set(query.path)
        known = {item.subject: item.value for item in picture.items}
        assert known.get(query.start, query.answer) == query.answer
        html = drawings.draw(picture, query, query.answer, correct=True)
        assert html.count("node on right") == 1 and "sentence" in html


def test_a_passage_runs_on_and_marks_what_is_asked_and_where_it_was_told():
    symbols = tuple("Ur\u2423<\u21b5Ur")
    items = (Item("Ur", range(2)),)
    query = Query("U..., 1 window ago", "U", "r", 1, range(5, 7), (0,))
    picture = Passage(items, (query,), symbols, frozenset({4}))
    html = drawings.draw(picture, query, "x")
    assert '<mark class="start">Ur</mark> &lt; <mark class="bad">Ur</mark>' in html
    assert "x \u2717" in html and "gone" not in html
    assert '<span class="gone"><mark class="path">Ur</mark></span> &lt;' in drawings.draw(
        picture, evicted=2
    )
    assert '<mark class="path">Ur</mark> &lt; <mark class="asked">Ur</mark>' in drawings.draw(
        picture
    )
