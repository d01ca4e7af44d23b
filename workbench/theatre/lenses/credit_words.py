"""Sentences of the lens "credit": the conclusion, how far it adds up, and what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.attributing.one_answer import SUBJECTS, Asked
from workbench.instruments.attribution import EXACT_PLAYERS, METHODS
from workbench.tasks.phrases import counted
from workbench.theatre.lenses.cause_words import signed
from workbench.theatre.lenses.examples import Examples

HELD: Final = (
    "Changes are held as they were: the effect of an earlier pass on a later one counts for the "
    "later one."
)
SUBJECT_WORDS: Final = {
    "tokens": (
        "How much each token of the context contributes: the baseline’s embedding replaces its "
        "own, and the whole sleep runs again."
    ),
    "windows": "How much each window of the context contributes; the sleep runs again.",
    "passes": f"How much what each pass changed in S contributes. {HELD}",
    "passes and heads": f"How much what each pass changed in each head contributes. {HELD}",
    "heads of S": "How much each head’s S at this moment adds; the rest is fixed.",
    "entries of S": "How much each entry of S at this moment adds; the rest is fixed.",
}
METHOD_WORDS: Final = {
    METHODS[0]: (
        "Integrated gradients: the mean gradient on the straight path from the baseline, times "
        "the difference from it. Complete in the limit of many steps."
    ),
    METHODS[1]: (
        "Input x gradient: the gradient at the reading itself, times the input. It is a first "
        "guess, and does not add up."
    ),
    METHODS[2]: (
        "Feature ablation: what is lost when only one part is set to the baseline. Parts that can "
        "replace each other get nothing, so it does not add up."
    ),
    METHODS[3]: (
        "Shapley values: what a part adds, on average over all orders of adding the parts. Exact "
        f"for up to {EXACT_PLAYERS} parts, from every combination of them; for more, from random "
        "orders. Complete by construction; completeness does not make it right."
    ),
}
OMITS: Final = (
    "This divides one logit difference of one answer of one model. It does not say how the model "
    "computes it, and another baseline is another question. Where two methods disagree, believe "
    "neither."
)
COMPLETE: Final = 0.02
"""Largest completeness error with which attributions add up."""
FEWEST: Final = 8
"""Parts below which a rank correlation says nothing."""
NAMED: Final = 3
"""Parts that the conclusion names."""


def told(examples: Examples, asked: Asked, found: xr.Dataset) -> dict[str, Any]:
    """Return the conclusion, how sure it is, the numbers behind both, and what was asked."""
    window = ""
    if SUBJECTS[asked.subject].kind == "changes":
        window = f" The sleep over window {asked.boundary[0] + 1}."
    return {
        "sentence": _sentence(examples, asked, found),
        "sure": _sure(asked, found),
        "about": f"{SUBJECT_WORDS[asked.subject]}{window} {METHOD_WORDS[asked.method]}",
        "omits": OMITS,
        "facts": _facts(examples, asked, found),
    }


def _sentence(examples: Examples, asked: Asked, found: xr.Dataset) -> str:
    answer, against = _symbols(examples, found)
    worth = float(found["logit_diff"] - found["logit_diff_at_baseline"])
    values = found["attribution"]
    flat = values.values.astype(float).ravel()
    query = examples.problem(asked.example).queries[
        int(np.flatnonzero(examples.asked(asked.example) == asked.query)[0])
    ]
    wrong = "" if float(found["logit_diff"]) > 0 else ", which the model does not say,"
    of = f"{query.label}: “{answer}”{wrong} is owed"
    if not np.isfinite(worth) or not np.abs(flat).max(initial=0.0):
        return f"{of} to nothing here: the baseline changes nothing."
    order = np.argsort(-np.abs(flat))[: min(NAMED, flat.size)]
    parts = [
        f"{_part(examples, asked, values, np.unravel_index(n, values.shape))} "
        f"({signed(float(flat[n]))})"
        for n in order
        if abs(flat[n]) >= 0.05 * abs(flat[order[0]])
    ]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return f"{of} most to {listed}, of {signed(worth)} nat over “{against}” in all."


def _part(examples: Examples, asked: Asked, values: xr.DataArray, at: Sequence[Any]) -> str:
    """Return the name of one part; tokens with the letters, and their place from 1."""
    index = dict(zip(values.dims, (int(n) for n in at), strict=True))
    if dims.TOKEN in index:
        token = index[dims.TOKEN]
        symbol = examples.problem(asked.example).picture.symbols[token]
        return f"“{symbol}” (token {token + 1})"
    if dims.WINDOW in index:
        return f"window {index[dims.WINDOW] + 1}"
    named = []
    if dims.KEY in index:
        named.append(f"key {index[dims.KEY]}, value {index[dims.VALUE]} of")
    if dims.GDN_HEAD in index:
        layer = examples.layers[index[dims.LAYER]]
        named.append(examples.head_words(layer, index[dims.GDN_HEAD]))
    if dims.SLEEP_PASS in index:
        number = int(values[dims.SLEEP_PASS].values[index[dims.SLEEP_PASS]])
        named.append(f"in pass {number}" if named else f"pass {number}")
    return " ".join(named)


def _sure(asked: Asked, found: xr.Dataset) -> str:
    error, total = float(found["completeness_error"]), float(found["attribution"].sum())
    said = _complete_words(error, asked.method)
    if not np.isfinite(error):
        return f"{said[:1].upper()}{said[1:]}."
    missing = float(found["logit_diff"] - found["logit_diff_at_baseline"]) - total
    return (
        f"The parts sum to {signed(total)} nat; {signed(missing)} nat are missing "
        f"({_percent(error)}): {said}."
    )


def _facts(examples: Examples, asked: Asked, found: xr.Dataset) -> list[list[str]]:
    """Return target, baseline, sum and the measures of how far to trust it, with a note each."""
    answer, against = _symbols(examples, found)
    whole, base = float(found["logit_diff"]), float(found["logit_diff_at_baseline"])
    error, unexplained = float(found["completeness_error"]), float(found["unexplained"])
    return [
        [
            "attributed",
            f"logit of the right answer {answer} minus that of {against}: {signed(whole)} nat",
            f"with the baseline ({asked.baseline}): {signed(base)} nat, so {signed(whole - base)} "
            "nat to divide",
        ],
        ["sum of the attributions", f"{signed(float(found['attribution'].sum()))} nat", ""],
        ["completeness error", _percent(error), _complete_words(error, asked.method)],
        [
            "infidelity",
            f"{float(found['infidelity']):.3g} nat², {_percent(unexplained)} unexplained",
            "how far the attributions are from the effect of setting random halves of the parts to "
            "the baseline; 100 % is no better than no attribution",
        ],
    ]


def _symbols(examples: Examples, found: xr.Dataset) -> tuple[str, str]:
    vocabulary = examples.task.vocabulary
    return vocabulary[int(found.attrs["answer"])], vocabulary[int(found.attrs["against"])]


def _complete_words(error: float, method: str) -> str:
    if not np.isfinite(error):
        return "there is nothing to divide here: the baseline changes nothing"
    if error <= COMPLETE:
        return "the attributions add up"
    if method in METHODS[1:3]:
        return "this method does not promise to add up"
    if method == METHODS[0]:
        return "they do not add up; take more steps, or another method, and do not believe these"
    return "they do not add up"


def _percent(share: float) -> str:
    if not np.isfinite(share):
        return "not defined"
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.3g} %"


def check(compared: xr.Dataset, found: xr.Dataset, seeds: Sequence[int]) -> str:
    """Return what the comparison with shuffled parameters says."""
    values = compared["rank_correlation"].values
    defined = np.isfinite(values)
    each = ", ".join(
        signed(float(v)) if known else "not defined"
        for v, known in zip(values, defined, strict=True)
    )
    features = found["attribution"].size
    mean = float(np.abs(values).mean())
    said = (
        "It depends on what the model has learnt, as it should."
        if mean < 0.5
        else "It hardly changes: it reflects the input more than the model."
    )
    if not defined.all():
        said = (
            "Where all attributions are equal there is no order to compare, so this says nothing."
        )
    elif features < FEWEST:
        said = f"With {counted(features, 'part')} this says nothing: so few correlate by chance."
    return (
        f"Shuffled parameters: rank correlation with the attributions of {len(seeds)} copies of "
        f"the model whose parameters were shuffled: {each}. {said}"
    )


def python(examples: Examples, asked: Asked) -> str:
    """Return Python that gives the same numbers."""
    given = (
        f"example={asked.example}, query={asked.query}, subject={asked.subject!r}, "
        f"boundary={asked.boundary},"
    )
    how = f"method={asked.method!r}, baseline={asked.baseline!r},"
    drawn = f"steps={asked.steps}, samples={asked.samples}, seed={asked.seed},"
    return "\n".join(
        [
            *examples.python(
                "from workbench.instruments.attributing.one_answer import Asked, attribute_one"
            ),
            "asked = Asked(",
            *(f"    {line}" for line in (given, how, drawn)),
            ")",
            "found = attribute_one(checkpoint.model, batch, sleep, asked)",
            'attribution = found["attribution"]',
            "",
        ]
    )
