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
from workbench.theatre.problem import Problem
from workbench.views.attribution.model import CHECK_SEEDS, Work
from workbench.views.cursor import drawings
from workbench.views.cursor.reading import Examples
from workbench.views.cursor.words import signed
from workbench.views.parts.html import failure_html

HELD: Final = (
    "Changes are held as they were: the effect of an earlier pass on a later one counts for the "
    "later one."
)
SUBJECT_WORDS: Final = {
    "tokens": (
        "How much each token of the context contributes: the baseline's embedding replaces its "
        "own, and the whole sleep runs again."
    ),
    "windows": "How much each window of the context contributes; the sleep runs again.",
    "passes": f"How much what each pass changed in S contributes. {HELD}",
    "passes and heads": f"How much what each pass changed in each head contributes. {HELD}",
    "heads of S": "How much each head's S at the chosen boundary adds; the rest is fixed.",
    "entries of S": "How much each entry of S at the chosen boundary adds; the rest is fixed.",
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
INK: Final = 62
"""Per cent of colour in the strongest token, on which its letters are still readable."""


def facts(found: xr.Dataset, examples: Examples, asked: Asked) -> str:
    """Return target, baseline, sum and the three measures of how far to trust it."""
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
            "nat to divide",
        ),
        ("sum of the attributions", f"{signed(total)} nat", ""),
        ("completeness error", f"{_percent(error)}", _complete_words(error, asked.method)),
        (
            "infidelity",
            f"{infidelity:.3g} nat², {_percent(unexplained)} unexplained",
            "how far the attributions are from the effect of setting random halves of the parts to "
            "the baseline; 100 % is no better than no attribution",
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
        return failure_html(work.error)
    if work.state == "cancelled":
        return '<p class="says">Cancelled; nothing is kept.</p>'
    what = "Attributing" if work.against is None else "Attributing with shuffled parameters"
    if work.state == "waiting":
        return f'<p class="busy" role="status">{what}: waiting for other work to end</p>'
    share = 100 * work.done / work.total if work.total else 0
    return (
        f'<p class="busy">{what}: {work.done} of about {work.total} readings</p>'
        f'<progress max="100" value="{share:.0f}" aria-label="{what}">{share:.0f} %</progress>'
    )


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
        else "It hardly changes: it reflects the input more than the model."
    )
    if not defined.all():
        said = (
            "Where all attributions are equal there is no order to compare, so this says nothing."
        )
    elif features < FEWEST:
        said = f"With {features} parts this says nothing: so few correlate by chance."
    return (
        f'<p class="says"><b>Shuffled parameters:</b> rank correlation with the attributions of '
        f"{len(CHECK_SEEDS)} copies of the model whose parameters were shuffled: {each}. {said}</p>"
    )


def context(found: xr.DataArray, problem: Problem, windows: np.ndarray, limit: float) -> str:
    """Return the context's tokens, coloured by their attributions, window by window.

    - found: attributions ``(token)``, nats; or ``(window)``, which colour all of a window's tokens.
    - windows: int64 [token], the window of each token of the context.
    - limit: attribution of the strongest colour, nats.
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
    """Return the drawing of the example and of query number `query`.

    `found` are attributions ``(token)``, nats, whose sums colour the edges, `limit` that of the
    strongest colour; `said` is the model's answer to each query.
    """
    asked, answer = problem.queries[query], said[query]
    correct = answer == asked.answer
    weights = None if found is None else item_weights(found, problem.picture, limit)
    return drawings.draw(problem.picture, asked, answer, correct=correct, weights=weights)


def item_weights(found: xr.DataArray, picture: Picture, limit: float) -> list[float]:
    """Return the attribution of each item, such as an edge: the sum over its tokens, -1 to 1."""
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
