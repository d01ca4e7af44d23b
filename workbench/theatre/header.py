"""The header of a scene: what is read, by whom, and how it looks, as plain data.

- ``model``: name, title; ``trained`` and ``note``, a sentence each; ``trained_passes``, the lowest
  and highest N of training, or None.
- ``task``: name, title, difficulty, unit, item; ``input`` and ``queries`` as a person types them,
  with ``query_form`` and ``typing_help``; ``unlike_training``. Empty where a trace names no task.
- ``sleep``: every setting of the sleep. ``source``: where the scene comes from, with ``python``,
  lines that make it again; example -1 is a typed one.
- ``entries``: the readings in order; ``boundaries``: [entry, pass] of each; ``cached``: the tokens
  [start, stop] that attention can see there.
- ``symbols``, ``valid``, ``marks``, ``answer_of``: by token.
- ``picture``: as `workbench.tasks.pictures`, with ranges as [start, stop] and a role of each
  sentence; ``queries``, with chance and the sentences that are ``spare``.
- ``candidates``; ``said``: [boundary][query], the answer in letters or None; ``one_symbol``.
- ``conventions``: what shares, baselines and probabilities are.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

import numpy as np

from workbench import dims
from workbench.files import parse_json
from workbench.instruments.linear import LEFT
from workbench.instruments.recorded import recorded
from workbench.tasks.pictures import roles_of
from workbench.theatre.problem import LABEL, Problem, trained_range
from workbench.theatre.recording import Layout, Recording
from workbench.trace import batch_of

CONVENTIONS: Final = {
    "share": f"projection on S of what is left of each token's writes, divided by |S|^2 ({LEFT}); "
    "signed, and adds up to 1",
    "baseline_change": "frozen replay: the writes of pass 1 again and again",
    "right_probability": "of the whole right answer, each symbol after the right ones before it",
    "probability": "of an answer's first symbol",
}

TASK: Final = (
    "name", "title", "difficulty", "unit", "item", "summary",
    "query_form", "typing_help", "input", "queries", "unlike_training",
)  # fmt: skip


def header_of(recording: Recording, layout: Layout) -> dict[str, Any]:
    """Return the header of a scene, as far as it does not depend on its arrays."""
    trace, problem = recording.trace, recording.problem
    states = recorded(trace, "states", "fast_weight")
    batch = batch_of(trace)
    entries = [
        {"window": w, "start": start, "stop": stop, "awake": awake, "passes": passes}
        for w, (start, stop), awake, passes in zip(
            layout.windows, layout.spans, layout.awake, layout.passes, strict=True
        )
    ]
    queries = _queries(recording)
    header = {
        "model": _model(recording),
        "task": _task(problem),
        "sleep": recording.sleep.model_dump(mode="json"),
        "source": _source(recording),
        "entries": entries,
        "boundaries": layout.boundaries,
        "cached": layout.cached(recording.sleep),
        "layers": states[dims.LAYER].values.tolist(),
        "heads": states.sizes[dims.GDN_HEAD],
        "key": states.sizes[dims.KEY],
        "value": states.sizes[dims.VALUE],
        "valid": batch.valid[0].astype(int).tolist(),
        "answer_of": batch.answer_of[0].tolist(),
        **_picture(recording),
        "queries": queries,
        "candidates": [] if recording.asked is None else recording.asked.names,
        "one_symbol": None if recording.asked is None else recording.asked.one_symbol,
        "said": _said(recording, layout, len(queries)),
        "conventions": CONVENTIONS,
    }
    return {name: _plain(values) for name, values in header.items()}


def _plain(values: Any) -> Any:
    """Return data as JSON has it: lists for tuples, and [start, stop] for a range."""
    if isinstance(values, range):
        return [values.start, values.stop]
    if isinstance(values, dict):
        return {str(name): _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return values


def _model(recording: Recording) -> dict[str, Any]:
    name, passes = recording.trace.attrs["checkpoint"], int(recording.trace.attrs["n_sleep"])
    about: dict[str, Any] = {"name": name, "title": name or "A model without a name"}
    about |= {"trained": "", "trained_passes": None, "note": ""}
    if name and recording.experiment is not None:
        low, high = trained_range(recording.experiment.sleep)
        words = f"N = {low}" if low == high else f"N from {low} to {high}"
        about |= {"trained": f"Trained with {words}.", "trained_passes": [low, high]}
        if not low <= passes <= high:
            side = "beyond" if passes > high else "below"
            about["note"] = f"N = {passes} is {side} the trained range."
    return about


def _task(problem: Problem | None) -> dict[str, str]:
    if problem is None:
        return dict.fromkeys(TASK, "")
    task, (text, queries) = problem.task, problem.as_typed
    words = (
        task.name, task.title, task.difficulty_name, task.unit, task.item, task.summary(),
        task.query_form, task.typing_help(), text, queries, problem.unlike_training,
    )  # fmt: skip
    return dict(zip(TASK, words, strict=True))


def _source(recording: Recording) -> dict[str, Any]:
    attributes = recording.trace.attrs
    return {
        "kind": "trace" if recording.answers is None else "reading",
        "seed": int(attributes["seed"]),
        "example": recording.number,
        "examples": recording.examples,
        "created_at": attributes["created_at"],
        "code_version": attributes["code_version"],
        "python": _python(recording),
    }


def _python(recording: Recording) -> list[str]:
    attributes, problem = recording.trace.attrs, recording.problem
    name, seed = attributes["checkpoint"], int(attributes["seed"])
    if not name or problem is None:
        return []
    arguments = [repr(name)]
    if seed >= 0:
        arguments += [f"seed={seed}", f"example={recording.number}"]
    else:
        text, queries = problem.as_typed
        arguments += [f"input={text!r}", *([f"queries={queries!r}"] if queries else [])]
    arguments.append(f"passes={int(attributes['n_sleep'])}")
    return ["import workbench", "", f"workbench.theatre({', '.join(arguments)})"]


def _picture(recording: Recording) -> dict[str, Any]:
    if recording.problem is None:
        vocabulary = parse_json(recording.trace.attrs["vocabulary_json"] or "null", what="a trace")
        tokens = batch_of(recording.trace).tokens[0].tolist()
        symbols = [str(vocabulary[t]) if isinstance(vocabulary, list) else str(t) for t in tokens]
        plain = {"kind": "tokens", "label": "", "note": "", "reading": "", "items": []}
        return {"symbols": symbols, "marks": [], "picture": plain}
    picture = recording.problem.picture
    noise = {n for n, role in roles_of(picture, ()).items() if role == "noise"}
    items = [
        dataclasses.asdict(item) | {"role": "noise" if n in noise else ""}
        for n, item in enumerate(picture.items)
    ]
    return {
        "symbols": picture.symbols,
        "marks": sorted(picture.marks),
        "picture": {
            "kind": type(picture).__name__.lower(),
            "label": picture.label,
            "note": picture.note,
            "reading": picture.reading,
            "items": items,
        },
    }


def _queries(recording: Recording) -> list[dict[str, Any]]:
    problem, batch = recording.problem, batch_of(recording.trace)
    if problem is None:
        return [
            _unnamed(batch.answer_of[0], number, int(batch.difficulty[0, number]))
            for number in np.flatnonzero(batch.difficulty[0] >= 0).tolist()
        ]
    chance = problem.task.best_guess(problem.batch)[0][batch.difficulty[0] >= 0]
    found = []
    for query, short, guess in zip(
        problem.queries, problem.short_labels, chance.tolist(), strict=True
    ):
        roles = roles_of(problem.picture, query.path)
        found.append(
            dataclasses.asdict(query)
            | {
                "short": short,
                "spare": sorted(n for n, role in roles.items() if role == "spare"),
                "chance": guess if math.isfinite(guess) else None,
            }
        )
    return found


def _unnamed(answer_of: np.ndarray, number: int, difficulty: int) -> dict[str, Any]:
    """Return a query of a trace that does not name its task."""
    at = np.flatnonzero(answer_of == number)
    tokens = [int(at[0]), int(at[-1]) + 1] if len(at) else [0, 0]
    name = f"query {number + 1}"
    return {
        "label": name, "short": name[:LABEL], "start": "", "answer": "", "difficulty": difficulty,
        "tokens": tokens, "path": [], "parents": [], "spare": [], "chance": None,
    }  # fmt: skip


def _said(recording: Recording, layout: Layout, queries: int) -> list[list[str | None]]:
    """Return each answer in letters, [boundary][query]; an answer stands until asked again."""
    now: list[str | None] = [None] * queries
    found = []
    for place in layout.boundaries:
        answers = (recording.answers or {}).get(place)
        if answers is not None:
            known = np.isfinite(answers["probability"].values).all(axis=1)
            texts = answers["answer"].values.tolist()
            now = [
                new if is_known else old
                for new, is_known, old in zip(texts, known, now, strict=True)
            ]
        found.append(now)
    return found
