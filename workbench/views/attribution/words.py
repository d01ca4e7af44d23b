"""Sentences and drawings of the page of attribution, as HTML. Knows no Panel."""

from __future__ import annotations

from html import escape
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.attributing.one_answer import SUBJECTS, Asked
from workbench.instruments.attribution import EXACT_PLAYERS, METHODS
from workbench.tasks.pictures import Picture
from workbench.views.attribution.model import CHECK_SEEDS, Work
from workbench.views.cursor import drawings
from workbench.views.cursor.problem import Problem
from workbench.views.cursor.reading import Examples
from workbench.views.cursor.words import signed

SUBJECT_WORDS: Final = {
    "tokens": (
        "How much each token of the context contributes: its embedding is exchanged for the "
        "baseline's, and the whole sleep is run anew."
    ),
    "windows": "How much each window of the context contributes; the sleep is run anew.",
    "passes": (
        "How much what each pass changed in S contributes. Changes are held as they were: what an "
        "earlier pass did to a later one belongs to the later one."
    ),
    "passes and heads": (
        "How much what each pass changed in each head contributes. Changes are held as they were: "
        "what an earlier pass did to a later one belongs to the later one."
    ),
    "heads of S": "How much each head's S at the chosen boundary adds; the rest is fixed.",
    "entries of S": "How much each entry of S at the chosen boundary adds; the rest is fixed.",
}
METHOD_WORDS: Final = {
    METHODS[0]: (
        "Integrated gradients: the gradient along the straight path from the baseline, times the "
        "way. Complete in the limit of many steps."
    ),
    METHODS[1]: (
        "Input x gradient: the gradient where the reading stands, times the input. It is a first "
        "guess, and does not add up."
    ),
    METHODS[2]: (
        "Feature ablation: what is lost when one part alone is set to the baseline. Parts that "
        "stand in for each other get nothing, so it does not add up."
    ),
    METHODS[3]: (
        "Shapley values: what a part adds, on average over all orders of adding the parts. Exact "
        f"for up to {EXACT_PLAYERS} parts, which takes every combination of them; for more, over "
        "random orders. Complete by construction; completeness does not make it right."
    ),
}
OMITS: Final = (
    "It divides one logit difference of one answer of one model. It does not say how the model "
    "computes it, and another baseline asks another question. Where two methods disagree, believe "
    "neither."
)
COMPLETE: Final = 0.02
"""Completeness error up to which attributions may be said to add up."""
FEWEST: Final = 8
"""Parts below which a rank correlation says nothing."""
INK: Final = 62
"""Per cent of colour in the strongest token: its letters are still read on it."""


def facts(found: xr.Dataset, examples: Examples, asked: Asked) -> str:
    """Return target, baseline, sum and the three measures of how far it can be trusted."""
    vocabulary = examples.checkpoint.task.vocabulary
    answer, against = (vocabulary[int(found.attrs[name])] for name in ("answer", "against"))
    whole, base = float(found["logit_diff"]), float(found["logit_diff_at_baseline"])
    total = float(found["attribution"].sum())
    error, unexplained = float(found["completeness_error"]), float(found["unexplained"])
    infidelity = float(found["infidelity"])
    rows = (
        (
            "attributed",
            f"logit of the right answer {answer} minus that of {against}: {signed(whole)} nat",
            f"with the baseline ({asked.baseline}): {signed(base)} nat, so {signed(whole - base)} "
            "nat are to be divided",
        ),
        ("sum of the attributions", f"{signed(total)} nat", ""),
        ("completeness error", f"{_percent(error)}", _complete_words(error, asked.method)),
        (
            "infidelity",
            f"{infidelity:.3g} nat², {_percent(unexplained)} unexplained",
            "how far the attributions are from what setting random halves of the parts to the "
            "baseline does; 100 % is no better than none",
        ),
    )
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td>'
        f'<td class="wide">{escape(note)}</td></tr>'
        for name, value, note in rows
    )
    return f'<table class="changes facts"><tbody>{cells}</tbody></table>'


def _complete_words(error: float, method: str) -> str:
    if not np.isfinite(error):
        return "there is nothing to divide here: the baseline changes nothing"
    if error <= COMPLETE:
        return "the attributions add up to the difference"
    if method in METHODS[1:3]:
        return "this method does not promise to add up"
    if method == METHODS[0]:
        return "they do not add up: take more steps, or another method; do not believe these"
    return "they do not add up"


def _percent(share: float) -> str:
    if not np.isfinite(share):
        return "not defined"
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.3g} %"


def progress(work: Work) -> str:
    """Return how far the work is, or how it ended; "" when it is done."""
    if work.state == "done":
        return ""
    if work.state == "failed":
        return failure(work.error)
    if work.state == "cancelled":
        return '<p class="says">Cancelled; nothing of it is kept.</p>'
    what = "Attributing" if work.against is None else "Attributing with shuffled parameters"
    if work.state == "waiting":
        return f'<p class="busy" role="status">{what}: waits for its turn</p>'
    share = 100 * work.done / work.total if work.total else 0
    return (
        f'<p class="busy">{what}: {work.done} of about {work.total} readings</p>'
        f'<progress max="100" value="{share:.0f}" aria-label="{what}">{share:.0f} %</progress>'
    )


def failure(error: object) -> str:
    """Return an error, in red."""
    return f'<p class="failure" role="alert">{escape(str(error))}</p>'


def check_words(found: xr.Dataset, features: int) -> str:
    """Return what the comparison with shuffled parameters says."""
    values = found["rank_correlation"].values
    defined = np.isfinite(values)
    each = ", ".join(
        signed(v, plus=True) if known else "not defined"
        for v, known in zip(values, defined, strict=True)
    )
    mean = float(np.abs(values).mean())
    said = (
        "It depends on what the model has learnt, as it should."
        if mean < 0.5
        else "It stays much as it was: it tells of the input more than of the model."
    )
    if not defined.all():
        said = "Where all attributions are alike there is no order to compare, so it says nothing."
    elif features < FEWEST:
        said = f"Of {features} parts that says nothing: so few correlate by chance."
    return (
        f'<p class="says"><b>Shuffled parameters:</b> rank correlation with the attributions of '
        f"{len(CHECK_SEEDS)} copies of the model whose parameters were shuffled: {each}. {said}</p>"
    )


def context(found: xr.DataArray, problem: Problem, windows: np.ndarray, limit: float) -> str:
    """Return the context's tokens, coloured by their attributions, window by window.

    Parameters
    ----------
    found : DataArray
        Attributions ``(token)``, nats; or ``(window)``, which colour all of a window's tokens.
    problem : Problem
        The example.
    windows : int64 [token]
        Window of each token of the context.
    limit : float
        The strongest colour.
    """
    of_tokens = dims.TOKEN in found.dims
    values = found.values if of_tokens else found.values[windows]
    blocks = []
    for window in np.unique(windows):
        chips = "".join(
            _chip(problem, int(i), float(values[i]), limit)
            for i in np.flatnonzero(windows == window)
        )
        of_window = values[windows == window].sum() if of_tokens else found.values[window]
        blocks.append(
            f'<div class="window"><h4>window {window + 1}'
            f"<span>{signed(float(of_window), plus=True)} nat</span></h4>"
            f'<div class="chips">{chips}</div></div>'
        )
    return f'<div class="tokens">{"".join(blocks)}</div>{scale_words(limit)}'


def scale_words(limit: float) -> str:
    """Return the legend of the colours."""
    return (
        f'<p class="legend"><span style="{_ground(1.0)}">speaks for the answer, up to '
        f'+{limit:.2f} nat</span><span style="{_ground(-1.0)}">against it, down to −{limit:.2f} '
        "nat</span></p>"
    )


def _chip(problem: Problem, token: int, value: float, limit: float) -> str:
    text = problem.picture.symbols[token] if problem.batch.valid[0, token] else "·"
    said = f"{text}: {signed(value, 3, plus=True)} nat"
    return (
        f'<span class="chip" title="{escape(said)}"><span class="t" '
        f'style="{_ground(value / limit)}">{escape(text)}</span></span>'
    )


def _ground(weight: float) -> str:
    colour = "--orange" if weight > 0 else "--blue"
    share = INK * min(abs(weight), 1.0)
    return f"background: color-mix(in srgb, var({colour}) {share:.0f}%, transparent)"


def picture(
    found: xr.DataArray | None, problem: Problem, query: int, said: list[str], limit: float
) -> str:
    """Return the drawing of the example; of tokens, edges are coloured by their sum.

    Parameters
    ----------
    found : DataArray or None
        Attributions ``(token)``, nats.
    problem : Problem
        The example.
    query : int
        Which of its questions is asked.
    said : list of str
        The model's answer to each.
    limit : float
        The strongest colour.
    """
    asked, answer = problem.queries[query], said[query]
    correct = answer == asked.answer
    weights = None if found is None else item_weights(found, problem.picture, limit)
    return drawings.draw(problem.picture, asked, answer, correct=correct, weights=weights)


def item_weights(found: xr.DataArray, picture: Picture, limit: float) -> list[float]:
    """Return what each item has, such as an edge: the sum over its tokens, -1 to 1."""
    tokens = [[i for i in item.tokens if i < found.size] for item in picture.items]
    sums = np.array([float(found.values[here].sum()) for here in tokens])
    return (sums / max(float(np.abs(sums).max()), limit)).tolist()


def subject_words(asked: Asked) -> str:
    """Return what is attributed to, and how, in plain words."""
    place = ""
    if SUBJECTS[asked.subject].kind == "changes":
        place = f" The sleep over window {asked.boundary[0] + 1}."
    return (
        f'<p class="says">{escape(SUBJECT_WORDS[asked.subject])}{place} '
        f"{escape(METHOD_WORDS[asked.method])} "
        f'<span class="omits">{escape(OMITS)}</span></p>'
    )
