"""A toy task and a toy model, as docs/bring_your_own.md has them, under every instrument.

What the toy's memory holds can be worked out: each pass writes half of what is still missing, so
after n passes S is (1 - 2^-n) times the sum of one outer product for each letter.
"""

import json
import pkgutil
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench import dims, instruments
from workbench.config import SleepConfig
from workbench.instruments import (
    attribution,
    change,
    convergence,
    interventions,
    lens,
    privacy,
    probes,
    provenance,
    readout,
    retention,
    spectra,
    steering,
    summary,
)
from workbench.instruments.attributing import one_answer
from workbench.instruments.attributing.checks import randomisation_check, randomised
from workbench.instruments.boundaries import at, before_answers, read_boundaries, read_on
from workbench.instruments.patching import components, effects, pairs
from workbench.instruments.patching.context_swaps import swap_context
from workbench.sleep import Wake, read
from workbench.tasks import batch_generator

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bring_your_own.md"
PARTS = {
    "boundaries", "clustered", "components", "controls", "features", "folds", "linear",
    "recorded", "continuation", "ridge", "scoring", "context_swaps", "directions", "forgetting",
    "text_lens",
}  # fmt: skip
"""Modules that instruments are made of, and forgetting and text_lens, which need a text."""
N = 3
WRITTEN = np.array([0.125, 0.25, 0.5])
"""Part of each pair that every pass has left in S in the end: later passes halve it."""


@pytest.fixture(scope="module")
def toy():
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) < 60 and max(map(len, lines)) <= 100
    names = {"__name__": "toy"}
    exec(compile(code, DOCUMENT.name, "exec"), names)
    model, task = names["Recaller"](), names["Recall"]()
    batch, others = (task.sample(200, batch_generator(0, i, "toy")) for i in (0, 1))
    return SimpleNamespace(
        name="toy",
        model=model,
        task=task,
        sleep=SleepConfig(window=6, passes=N),
        batch=batch,
        others=others,
        targets=task.probe_targets(batch),
        shuffled=randomised(model, 0),
    )


@pytest.fixture(scope="module")
def given(toy):
    return toy.model, toy.batch, toy.sleep


@pytest.fixture(scope="module")
def trace(toy, given):
    import workbench

    return workbench.record(*given, task=toy.task, keep=("states", "writes", "hidden"))


def test_the_task_solves_itself_and_its_context_decides(toy):
    np.testing.assert_array_equal(toy.task.solve(toy.batch), toy.batch.tokens)
    assert (toy.batch.tokens[:, :6] != toy.others.tokens[:, :6]).any()


def test_the_trace_holds_what_paper_says(toy, trace):
    expected = np.sqrt(3) * np.array([0, 0.5, 0.75, 0.875])
    norm = trace["states"]["norm"].isel(window=0, layer=0, gdn_head=0)
    np.testing.assert_allclose(norm, np.tile(expected, (200, 1)), rtol=1e-6)
    first = trace["states"]["fast_weight"].isel(example=0, window=0, layer=0, gdn_head=0)
    by_hand = np.zeros((7, 7))
    for letter, digit in toy.batch.tokens[0, :6].reshape(3, 2):
        by_hand[letter, digit] = 0.875
    np.testing.assert_array_equal(first.isel(sleep_pass=N), by_hand)
    correct = trace["readout"]["correct"].isel(window=0)
    assert not correct.sel(sleep_pass=0).any() and correct.sel(sleep_pass=[1, 2, 3]).all()


def of_a_trace(trace):
    """Return what every instrument says of a stored trace, by its name."""
    slept = trace["states"]["fast_weight"].sizes["sleep_pass"] - 1
    return {
        "spectra.spectra": spectra.spectra(trace),
        "change.change": change.change(trace),
        "provenance.contribution_norms": provenance.contribution_norms(trace),
        "retention.retention": retention.retention(trace),
        "retention.pass_retention": retention.pass_retention(trace),
        "readout.readout": readout.readout(trace, source_window=0),
        "readout.crosstalk": readout.crosstalk(trace, window=0, sleep_pass=slept),
        "convergence.convergence": convergence.convergence(trace),
        "convergence.cka": convergence.cka(trace, window=0),
        "lens.lens_of": lens.lens_of(trace),
        "summary.memory_summary": summary.memory_summary(trace),
    }


@pytest.fixture(scope="module")
def from_trace(trace):
    return of_a_trace(trace)


@pytest.fixture(scope="module")
def from_model(toy, given):
    """Return what every instrument that runs a model says, by its name."""
    probing = {"untrained_model": toy.shuffled, "seeds": range(2), "workers": 1}
    boundary = at(read_boundaries(*given), before_answers(toy.batch, toy.sleep))
    few = toy.batch.examples(slice(8))

    def passes(model):
        return attribution.attribute_passes(
            model, few, toy.sleep, query=0, against=few.tokens[:, 9], infidelity_samples=4
        ).attribution

    return {
        "lens.lens": lens.lens(*given),
        "probes.probe": probes.probe(*given, toy.targets, **probing),
        "steering.steer": steering.steer(*given, toy.targets, seeds=range(2)),
        "privacy.recovery": privacy.recovery(*given, symbols=toy.task.vocabulary, **probing),
        "privacy.recovery_after": privacy.recovery_after(
            *given, others=[toy.others], facts=toy.targets, symbols=toy.task.vocabulary, **probing
        ),
        "interventions.patch_effects": interventions.patch_effects(
            toy.model, toy.task, toy.batch, toy.others, toy.sleep
        ),
        "interventions.ablation_effects": interventions.ablation_effects(*given),
        "pairs.patch_pair": pairs.patch_pair(
            toy.model,
            toy.task,
            toy.batch,
            toy.sleep,
            recipient=0,
            donor=1,
            unrelated=2,
            boundary=(0, N),
            part=components.whole(),
        ),
        "pairs.change_one": pairs.change_one(
            *given, example=0, boundary=(0, N), part=components.whole(), method="zero"
        ),
        "attribution.attribute_state": attribution.attribute_state(
            *given, boundary, query=0, baseline="zero"
        ),
        "attribution.attribute_passes": attribution.attribute_passes(*given, query=0),
        "attribution.attribute_tokens": attribution.attribute_tokens(*given, query=0, samples=4),
        "one_answer.attribute_one": one_answer.attribute_one(
            *given,
            one_answer.Asked(
                0, 0, "passes and heads", (0, N), "integrated gradients", "before the sleep"
            ),
        ),
        "checks.randomisation_check": randomisation_check(passes, toy.model, seeds=(0,)),
    }


def test_no_instrument_is_left_out(from_trace, from_model):
    run = {name.partition(".")[0] for name in {**from_trace, **from_model}}
    found = pkgutil.walk_packages(instruments.__path__, "workbench.instruments.")
    there = {module.name.rpartition(".")[2] for module in found if not module.ispkg}
    assert there - PARTS == run | {"effects"}  # effects are summaries of interventions, below


def test_every_instrument_says_something(from_trace, from_model):
    for name, found in {**from_trace, **from_model}.items():
        numbers = [v for v in found.data_vars.values() if v.dtype.kind in "fbi"]
        assert numbers, name
        for variable in numbers:
            assert np.isfinite(variable.values.astype(float)).any(), f"{name}: {variable.name}"


def test_who_wrote_it(from_trace):
    found = from_trace["provenance.contribution_norms"].isel(layer=0, gdn_head=0, window=0)
    written = found["norm"].isel(source_window=0).values
    np.testing.assert_allclose(written, np.tile(np.sqrt(3) * WRITTEN, (200, 1)), rtol=1e-5)
    assert float(found["unexplained"].max()) < 1e-6


def test_passes_are_owed_what_they_wrote(from_model):
    found = from_model["attribution.attribute_passes"]
    worth = found["attribution"] / found["attribution"].sum("sleep_pass")
    # a pass changes S by half of what is missing; the changes, not what is left of them, add up
    np.testing.assert_allclose(worth, np.tile([4 / 7, 2 / 7, 1 / 7], (200, 1)), atol=1e-5)
    assert float(found["completeness_error"].max()) < 1e-5


def test_the_digits_are_decodable_from_the_first_pass_on(from_model):
    found = from_model["probes.probe"]
    accuracy = found["accuracy"].mean("seed").isel(window=0, layer=0, target=0)
    assert float(accuracy.sel(sleep_pass=0)) < 0.5
    np.testing.assert_array_equal(accuracy.sel(sleep_pass=[1, 2, 3]), 1.0)


def test_the_memory_is_all_there_is(toy, from_model):
    last = {"sleep_pass": N, "window": 0, "component": "whole", "direction": "denoise"}
    found = effects.patches_by_difficulty(from_model["interventions.patch_effects"]).sel(last)
    np.testing.assert_allclose(found["effect"].sel(control="patch"), 1.0, atol=1e-6)
    # with neither digit in its memory it says neither: half of the way from one to the other
    assert 0.4 < float(found["effect"].sel(control="unrelated donor").max()) < 0.6
    assert abs(float(found["effect"].sel(control="random of equal norm").max())) < 0.1
    ablated = effects.ablations_by_difficulty(
        from_model["interventions.ablation_effects"], toy.task
    )
    gone = ablated.sel(
        procedure="zero", sleep_pass=N, window=0, component="whole", control="ablation"
    )
    assert float(gone["accuracy"].max()) <= 0.5


def test_a_whole_patch_is_the_donor_exactly(toy, given):
    """Read on from the other context's S, the answers are those of reading that context whole."""
    swapped = swap_context(toy.task, toy.batch, toy.others)
    whole = [e.logits for e in read(toy.model, swapped, toy.sleep) if isinstance(e, Wake)]
    boundary = before_answers(toy.batch, toy.sleep)
    own, theirs = (
        at(read_boundaries(toy.model, b, toy.sleep), boundary) for b in (toy.batch, toy.others)
    )
    state = own.memory.replace(fast_weights=theirs.memory.fast_weights)
    patched = read_on(toy.model, swapped, toy.sleep, own.with_memory(state))
    for donor, ours in zip(whole, patched, strict=True):
        assert torch.equal(ours.logits, donor)
    unpatched = read_on(toy.model, swapped, toy.sleep, own)
    assert not torch.equal(unpatched[0].logits, whole[0])


def test_steering_turns_the_answer(from_model):
    found = steering.steering_by_difficulty(from_model["steering.steer"])["follows"]
    far = found.sel({dims.SLEEP_PASS: N}).isel({dims.STRENGTH: -1}).squeeze()
    follows = {str(name): float(far.sel({dims.CONTROL: name})) for name in far[dims.CONTROL].values}
    assert follows.pop("probe's direction") > 0.9
    assert max(follows.values()) < 0.5, follows


def test_the_theatre_shows_its_trace(toy, trace):
    """No model is loaded, and the task is one that the workbench does not know."""
    from scenes import decode

    from workbench.theatre.asks import TraceAsks
    from workbench.theatre.instruments import INSTRUMENTS

    asks = TraceAsks(trace.isel(example=slice(16)))
    header = decode(asks.scene({"what": "scene"})).header
    assert header["symbols"][:6] == [toy.task.vocabulary[i] for i in toy.batch.tokens[0, :6]]
    place = {"layer": header["layers"][0], "head": 0, "window": 0, "pass": 1}
    for name in INSTRUMENTS:
        answer = asks.answer(place | {"what": "instrument", "instrument": name, "every": True})
        assert answer.problem == "", f"{name}: {answer.problem}"
        assert all(plot["figures"][0]["data"] for plot in answer.result["plots"]), name


def test_measurements_of_it_are_shown(toy, tmp_path, monkeypatch):
    from workbench.measurements.base import Reporter
    from workbench.measurements.catalogue import measure, measurement
    from workbench.measurements.records import write_measurement
    from workbench.views.findings import parts

    found = {}
    for kind in ("memory", "lens", "patches", "ablations", "attribution"):
        settings = measurement(kind).settings(examples=32)
        data = measure(toy, kind, settings, Reporter())
        origin = {
            "settings": settings.model_dump(),
            "machine": {},
            "created_at": "2026-01-01",
            "commit": None,
        }
        found[kind] = tmp_path / f"{kind}.json"
        write_measurement(found[kind], data, origin)
    monkeypatch.setattr(parts, "records_of", lambda kind, root: {"toy": ("toy", found[kind])})
    for kind in found:
        said = parts.part_html(f"{kind}/toy", {}, None)
        assert "failure" not in said and "toy" in said
        assert "<table>" in said
        for number in range(said.count("<figure")):
            assert json.loads(parts.figure_json(f"{kind}/toy", number, "light", {}, None))["data"]
