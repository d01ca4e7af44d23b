"""The lens "cause": change a part of S, read on, and see what becomes of every answer.

An ask names the sleep, the boundary (``window``, a reading, and ``pass``), and the change: `Change`
by its field names. Its answer is plain data, with what can be chosen and what was; a change that
is refused is one line in it. ``every`` changes one head after another; ``csv`` gives the numbers;
``scene`` the sleep that follows from the change, as a container. Knows no host.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.controls import INTACT
from workbench.instruments.interventions import exists
from workbench.instruments.patching.pairs import change_one, patch_pair
from workbench.progress import Report
from workbench.theatre.container import Scene, encode
from workbench.theatre.csv_text import csv_of
from workbench.theatre.lenses import cause_words as words
from workbench.theatre.lenses.change import (
    Change,
    changed_boundary,
    next_donor,
    pair_of,
    part_of,
    three_of,
)
from workbench.theatre.lenses.examples import Examples
from workbench.theatre.problem import EXAMPLES
from workbench.theatre.recording import read_example
from workbench.theatre.scene import scene_of
from workbench.theatre.wish import Wrong, line_of, one_of, whole
from workbench.trace import origin_of

WAYS: Final = ("noise", "denoise")


def answer(examples: Examples, example: int, ask: Mapping[str, Any], progress: Report) -> Any:
    """Return what a change does, as plain data, or the changed sleep as a container."""
    choices = _choices(examples)
    try:
        change = change_of(examples, example, ask)
    except Wrong as error:
        usual = {"action": next(iter(choices["actions"])), "part": "whole", "way": WAYS[0]}
        return {"choices": choices, "asked": usual, "problem": line_of(error), "field": error.field}
    asked = asdict(change) | {"window": change.boundary[0], "pass": change.boundary[1]}
    said = {"choices": choices, "asked": asked}
    try:
        if ask.get("scene"):
            return changed_scene(examples, change)
        if ask.get("every"):
            return said | _every(examples, change, progress)
        found = result(examples, change)
    except WorkbenchError as error:
        return said | {"problem": line_of(error), "field": "change"}
    if ask.get("csv"):
        window, sleep_pass = change.boundary
        file = examples.file(example, f"{change.action}-window-{window}-pass-{sleep_pass}")
        return {"csv": csv_of(found.drop_vars("fast_weight")), "file": file}
    return said | _told(examples, change, found)


def change_of(examples: Examples, example: int, ask: Mapping[str, Any]) -> Change:
    """Return the change that an ask names; raises Wrong where a field is out of range."""
    actions = actions_of(examples)
    action = one_of(ask, "action", words.ACTIONS, next(iter(actions)))
    if action not in actions:
        raise Wrong("action", *_unfit(examples, action))
    count = len(examples.batch)
    donor = example
    if action == "patch":
        named = ask.get("donor") is not None
        donor = whole(ask, "donor", 0, count - 1) if named else next_donor(examples, example)
        if donor == example:
            given = f"donor {donor} (example {donor + 1}), which is the recipient itself"
            raise Wrong("donor", given, "another example", "choose one")
    window, sleep_pass = (whole(ask, name, 0, 10_000) for name in ("window", "pass"))
    examples.check_before_answers((window, sleep_pass), "a change")
    heads, keys, values = examples.sizes
    change = Change(
        example=example,
        boundary=(window, sleep_pass),
        action=action,
        part=one_of(ask, "part", words.PARTS, "whole"),
        layer=examples.layer_of(ask),
        head=whole(ask, "head", 0, heads - 1, default=0),
        modes=whole(ask, "modes", 1, min(keys, values), default=1),
        changed=whole(ask, "changed", 1, examples.passes, default=1),
        percent=whole(ask, "percent", -200, 400, default=50),
        donor=donor,
        way=one_of(ask, "way", WAYS, WAYS[0]),
    )
    if change.part == "change" and not exists(part_of(examples, change), change.boundary):
        raise Wrong(
            "changed",
            f"what pass {change.changed} changed, before that pass",
            "a pass that has run by then",
            "step on, or choose an earlier pass",
        )
    return change


def actions_of(examples: Examples) -> dict[str, str]:
    """Return what can be done to a memory: a patch needs answers that another context gives."""
    if len(examples.batch) == 1:
        names = ["zero", "scale"]
    else:
        erased = ["zero", "mean", "scale"]
        names = ["patch", *erased, "other"] if examples.task.determined else ["other", *erased]
    return {name: words.ACTIONS[name] for name in names}


def _unfit(examples: Examples, action: str) -> tuple[str, str, str]:
    """Return why an action does not fit: what is given, what is expected, the fix."""
    known = ", ".join(actions_of(examples).values())
    if len(examples.batch) == 1:
        return f"{words.ACTIONS[action]}, with own text", known, "go back to drawn examples"
    given = f"a patch in {examples.task.name}, where no context decides the answers"
    return given, known, "erase a part, or exchange it for another example's"


def _choices(examples: Examples) -> dict[str, Any]:
    heads, keys, values = examples.sizes
    return {
        "actions": actions_of(examples),
        "parts": words.PARTS,
        "donors": len(examples.batch),
        "modes": min(keys, values),
        "passes": examples.sleep.passes,
        "last": list(examples.last),
    }


def result(examples: Examples, change: Change) -> xr.Dataset:
    """Return what a change does, as `patch_pair` or `change_one` returns it.

    Raises WorkbenchError: the pair does not fit, or the part does not exist at this boundary.
    """
    part, model, batch, sleep = (
        part_of(examples, change), examples.checkpoint.model, examples.batch, examples.sleep,
    )  # fmt: skip
    given: dict[str, Any] = {"boundary": change.boundary, "part": part, "seed": examples.seed}

    def make() -> xr.Dataset:
        if change.patched:
            pair = given | three_of(examples, change) | {"reading": pair_of(examples, change)}
            return patch_pair(model, examples.task, batch, sleep, **pair)
        one = given | {"example": change.example, "method": change.method}
        return change_one(model, batch, sleep, **one, reading=examples.boundaries)

    way = change.donor if change.patched else (change.action, change.method)
    key = (change.example, change.boundary, part.name, way)
    return examples.ask("change", key, make)


def changed_scene(examples: Examples, change: Change) -> bytes:
    """Return the sleep that follows from a change, as a scene: ``source.changed`` says which."""
    if examples.large:
        raise WorkbenchError(
            "a changed sleep whose S is too large to send at once",
            "a smaller model",
            "copy the change as Python",
        )
    drawn = examples.typed is None
    recording = read_example(
        examples.checkpoint.model,
        examples.problem(change.example),
        examples.sleep,
        origin=origin_of(examples.checkpoint, seed=examples.seed if drawn else -1),
        number=change.example if drawn else -1,
        examples=EXAMPLES,
        changed=changed_boundary(examples, change),
    )
    scene = scene_of(recording)
    name = f"{words.part_words(examples, change)} {words.done_words(change)}"
    changed = {"changed": name, "python": words.python(examples, change).splitlines()}
    digest = hashlib.sha256(f"{scene.header['digest']} {change}".encode()).hexdigest()
    header = scene.header | {"digest": digest, "source": scene.header["source"] | changed}
    return encode(Scene(header, scene.arrays))


def one_way(found: xr.Dataset, change: Change) -> xr.Dataset:
    """Return the way of the exchange that is looked at; what is not exchanged has one."""
    return found.sel({dims.DIRECTION: change.way}) if dims.DIRECTION in found.dims else found


def effects(examples: Examples, change: Change, here: xr.Dataset) -> np.ndarray:
    """Return effect minus control of each query asked, nats; NaN where nothing is measured.

    The logit difference after the change minus that after the control: the same part of an
    unrelated donor, or a random change as large where nothing is exchanged.
    """
    return words.moved(examples, change, here, *change.compared)


def _told(examples: Examples, change: Change, found: xr.Dataset) -> dict[str, Any]:
    here, asked = one_way(found, change), examples.asked(change.example)
    controls = [str(name) for name in here[dims.CONTROL].values]

    def spelt(name: str, **at: str) -> list[str]:
        return examples.spelt(change.example, here[name].sel(at).values)

    said = [spelt("said", control=name) for name in controls]
    own: list[str | None] = [*spelt("own")]
    other: list[str | None] = [*spelt("other")] if "other" in here else [None] * len(own)
    if "answered" in here:
        # a context that does not answer a question has no right answer to it
        silent = other if change.way == "noise" else own
        for row in np.flatnonzero(~here["answered"].values[asked]):
            silent[row] = None
    gaps = effects(examples, change, here)
    logits = here["logit_diff"].transpose(dims.QUERY, dims.CONTROL).values[asked]
    rows = [
        {
            "query": row,
            "own": own[row],
            "other": other[row],
            "said": [each[row] for each in said],
            "logit": [_plain(value) for value in logits[row]],
            "effect": _plain(gaps[row]),
        }
        for row in range(len(asked))
    ]
    states = here["fast_weight"]
    return {
        "columns": [[name, words.NAMES[name]] for name in controls],
        "axis": words.AXES[change.way if change.patched else ""],
        "rows": rows,
        "states": _states(states, change),
        **words.told(examples, change, here, gaps),
        "python": words.python(examples, change),
    }


def _states(states: xr.DataArray, change: Change) -> dict[str, Any]:
    """Return S of the chosen head with every control, float32 in base64, ``[key][value]``."""
    here = states.sel({dims.LAYER: change.layer}).isel({dims.GDN_HEAD: change.head})
    data = np.ascontiguousarray(here.transpose(dims.CONTROL, ...).values, dtype="<f4")
    return {
        "layer": change.layer,
        "head": change.head,
        "values": [base64.b64encode(one.tobytes()).decode() for one in data],
    }


def _every(examples: Examples, change: Change, progress: Report) -> dict[str, Any]:
    """Return effect minus control of changing each head alone, mean over queries.

    ``spread`` is how far a control alone moves an answer: root mean square over heads and queries.
    """
    heads = examples.sizes[0]
    every = [(layer, head) for layer in examples.layers for head in range(heads)]
    found, controls = np.full(len(every), np.nan), []
    for number, (layer, head) in enumerate(every):
        progress(number, len(every), "heads")
        one = replace(change, part="head", layer=layer, head=head)
        here = one_way(result(examples, one), one)
        gaps = effects(examples, one, here)
        found[number] = np.nanmean(gaps) if np.isfinite(gaps).any() else np.nan
        controls.append(words.moved(examples, one, here, one.compared[1], INTACT))
    known = np.concatenate(controls)
    known = known[np.isfinite(known)]
    spread = float(np.sqrt(np.mean(known**2))) if len(known) else 0.0
    table = [[_plain(value) for value in row] for row in found.reshape(-1, heads)]
    said = words.every(examples, change, found, every, spread)
    return {"heads": table, "spread": _plain(spread), **said}


def _plain(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
