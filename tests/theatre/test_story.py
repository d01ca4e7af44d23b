"""The story: every number in it is true of the models and records that it speaks of."""

import json
import re

import numpy as np
import pytest
import torch

import workbench
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import read_boundaries, read_on
from workbench.instruments.interventions import exchanged, outcomes_of
from workbench.instruments.patching import components as parts
from workbench.instruments.patching.context_swaps import logits_at, questions, swap_context
from workbench.paths import data_folder
from workbench.sleep import Wake, before_window
from workbench.tasks.base import EVALUATION, draw
from workbench.theatre.story import STORY, read_story, story, story_asks, story_data
from workbench.trace.answers import answer_scores

SCENES = story().scene
NUMBER = re.compile(r"\d+(?:,\d{3})+|\d+(?:\.\d+)?")


def example(checkpoint, number):
    return draw(checkpoint.task, 16, 0, 0, EVALUATION).examples(slice(number, number + 1))


def right_by_hops(checkpoint, batch, wakes):
    """Return [(hops, right)] of each question, from the model's own reading."""
    correct = answer_scores(wakes, batch)["correct"].values[0].astype(bool)
    return list(zip(batch.difficulty[0].tolist(), correct.tolist(), strict=True))


@pytest.fixture(scope="module")
def sleeps():
    """Return model and N -> [(hops, right)] of the example that the story is about."""
    found = {}
    with torch.no_grad():
        for name, counts in (("depo-n8-any", (1, 2, 3, 4)), ("depo-n8-n1", (4,))):
            checkpoint = workbench.load(name)
            batch = example(checkpoint, 5)
            for n in counts:
                events = workbench.read(checkpoint.model, batch, checkpoint.sleep.with_passes(n))
                wakes = [event for event in events if isinstance(event, Wake)]
                found[name, n] = right_by_hops(checkpoint, batch, wakes)
        checkpoint = workbench.load("depo-n8-any")
        batch, sleep = example(checkpoint, 5), checkpoint.sleep.with_passes(1)
        nothing = before_window(1, checkpoint.model.empty_memory(1))
        wakes = read_on(checkpoint.model, batch, sleep, nothing)
        found["depo-n8-any", 0] = right_by_hops(checkpoint, batch, wakes)
    return found


def score(answers):
    return sum(right for _, right in answers)


def wrong_hops(answers):
    return sorted(hops for hops, right in answers if not right)


def numbers(scene):
    said = [scene.sentence, scene.question, scene.choices[scene.right], scene.why]
    return {text.replace(",", "") for part in said for text in NUMBER.findall(part)}


def test_what_the_model_does_is_what_the_story_says(sleeps):
    window, eviction, one, more, compute, cause = SCENES
    after = [score(sleeps["depo-n8-any", n]) for n in range(5)]
    assert after == [1, 5, 6, 7, 8]
    state = workbench.load("depo-n8-any").model.empty_memory(1).fast_weights
    (heads, key, value) = next(iter(state.values())).shape[1:]
    assert len(state) == 1 and heads == 4, "four heads, in one layer"
    assert numbers(window) == {str(after[0])}
    assert numbers(eviction) == {str(n) for n in (key, value, heads * key * value, after[1], 8)}
    wrong = wrong_hops(sleeps["depo-n8-any", 1])
    assert wrong == [3, 4, 4] and [h for h, _ in sleeps["depo-n8-any", 1]].count(3) == 2
    assert numbers(one) == {"1", "2", "3", "4", "8"}, "3 of 8; 1, 2, 3 and 4 hops"
    assert [wrong_hops(sleeps["depo-n8-any", n]) for n in (2, 3, 4)] == [[4, 4], [4], []]
    assert numbers(more) == {"4", "1", "5", "2", "3", *map(str, after[2:])}
    assert score(sleeps["depo-n8-n1", 4]) == after[1], "5 of 8, as after one pass"


def test_recorded_numbers_are_those_of_the_records():
    compute, cause = SCENES[4:]
    runs = json.loads((data_folder() / "results" / "sweeps" / "depo-n8.json").read_text())["runs"]

    def mean(arm, passes):
        labels = {"arm": arm, "passes": passes}
        chosen = [run for run in runs if run["labels"].items() >= labels.items()]
        n = passes if arm == "sleep" else 1
        shares = [run["final"][str(n)]["accuracy"]["4"] for run in chosen]
        return f"{np.mean(shares):.2f}", len(shares), {run["budget"]["steps"] for run in chosen}

    base, seeds, steps = mean("sleep", 4)
    longer, _, more_steps = mean("longer", 4)
    deeper, _, _ = mean("deeper", 4)
    guess = runs[0]["chance"]["guess among other nodes"]["accuracy"]["4"]
    assert compute.choices[2].startswith(f"{guess:.2f}")
    texts = {base, longer, deeper, *map(str, steps | more_steps), str(seeds)}
    assert numbers(compute) == texts | {"4", "1", "8"}, "N, hops; 5 of 8 is in the test before"
    record = data_folder() / "results" / "instruments" / "patches-depo-n8-any-heads.json"
    patches = json.loads(record.read_text())
    became = np.array(patches["variables"]["became_donor"]["data"])
    axes = patches["variables"]["became_donor"]["dims"]
    assert axes[:4] == ["difficulty", "direction", "control", "component"]
    shares = became[:, 1, 0, 0, 0, 4]  # "noise", the patch itself, head 0, after pass 4
    texts = {f"{shares.min():.2f}", f"{shares.max():.2f}", str(patches["attrs"]["pairs"])}
    assert numbers(cause) == texts | {"0", "1", "4", "8"}


@torch.no_grad()
def test_the_swapped_head_carries_the_answers_and_the_control_none():
    checkpoint, place = workbench.load("depo-n8-any"), SCENES[5].then
    sleep = checkpoint.sleep.with_passes(4)
    own, other = example(checkpoint, 5), example(checkpoint, place.donor)
    swapped = swap_context(checkpoint.task, own, other)
    pair = questions(own, swapped, sleep.window)
    clean, donors = (read_boundaries(checkpoint.model, batch, sleep) for batch in (own, swapped))
    answers = {}
    for head in (0, 1):
        memory = exchanged(parts.head(1, head), (0, 4), clean, donors)
        wakes = read_on(checkpoint.model, own, sleep, clean[0, 4].with_memory(memory))
        answers[head] = outcomes_of(logits_at(wakes, pair), pair)[1:, 0].sum(axis=1).tolist()
    assert answers == {0: [8, 0], 1: [0, 8]}, "the donor's and the own answers"
    assert (place.lens, place.action, place.part) == ("cause", "patch", "head")
    assert SCENES[5].place.head == 0


def test_scenes_reach_the_front_end_as_an_address_names_them():
    data = story_data()
    assert len(data) == 6 and all(len(one["choices"]) > one["right"] for one in data)
    assert data[0]["place"]["pass"] == 0 and data[0]["then"] == {"pass": 1}
    asks = [(ask["name"], ask["N"]) for ask in story_asks()]
    assert asks[:3] == [("depo-n8-any", 1), ("depo-n8-any", 4), ("depo-n8-n1", 4)]
    assert asks[3:] == [("depo-n8-any", 2), ("depo-n8-any", 3)]


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("right = 1", "right = 7", "let right be one of the 3 choices"),
        ('"None", "One or two"', '"None", "None"', "make the choices differ"),
        ("N = 1, ", "", "give the place N"),
        ("pass = 0", "pas = 0", "scene.0.place.pas is unknown"),
        ("title = ", "titel = ", "scene.0.title is missing"),
        ("[[scene]]", "[[scene]", "story.toml"),
    ],
)
def test_a_damaged_story_is_one_line(tmp_path, old, new, words):
    path = tmp_path / "story.toml"
    path.write_text(STORY.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(WorkbenchError, match=re.escape(words)) as found:
        read_story(path)
    assert "\n" not in str(found.value)
