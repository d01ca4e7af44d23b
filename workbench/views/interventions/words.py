"""Sentences and tables of the page of interventions, as HTML. Knows no Panel."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.controls import CHANGED, DONOR, INTACT, PATCH, RANDOM, UNRELATED
from workbench.tasks.phrases import counted
from workbench.views.cursor import words
from workbench.views.cursor.reading import Examples
from workbench.views.interventions.model import InterventionCursor, asked_queries, changed_window

OMITS: Final = (
    "One pair, one model: an effect here need not hold over examples; measure many. A pass "
    "that has begun keeps its own features and KV cache."
)
OMITS_ERASED: Final = (
    "Setting a part to zero may break a model even if the part held nothing: compare with its "
    "mean, and with the random change. One example, one model: measure over many in Findings."
)
IN_VIEW: Final = {
    OMITS: (
        " The model gives each answer with the right earlier answers to its own context in view, "
        "which reveal that context whatever the memory holds; the first answer has none before it."
    ),
    OMITS_ERASED: " The model gives each answer with the right earlier ones in view.",
}
"""What is added where queries are not read alone."""
WAYS: Final = {
    "noise": "Is it needed? The donor's part in the recipient's reading (noise)",
    "denoise": "Is it enough? The recipient's part in the donor's reading (denoise)",
}
AXES: Final = {
    "noise": "logit of the donor's answer minus the recipient's",
    "denoise": "logit of the recipient's answer minus the donor's",
    "": "right answer's logit minus best other",
}
"""Which logit difference is shown, by the way of the exchange; "" where nothing is exchanged."""
NAMES: Final = {
    INTACT: "intact",
    PATCH: "patched",
    CHANGED: "changed",
    UNRELATED: "unrelated",
    RANDOM: "random",
    DONOR: "all of the other's",
}
"""Columns, by what the memory was."""


def part_words(cursor: InterventionCursor) -> str:
    """Return the part of S that is changed, in words; windows are counted from 1."""
    modes, window = cursor.modes, changed_window(cursor.boundary, cursor.extent) + 1
    return {
        "whole": "all of S",
        "layer": f"S of layer {cursor.layer}",
        "head": f"head {cursor.gdn_head} of layer {cursor.layer}",
        "modes": f"the {'' if modes == 1 else f'{modes} '}"
        f"largest {'singular mode' if modes == 1 else 'modes'} of every head",
        "change": f"what pass {cursor.changed} over window {window} changed",
    }[cursor.part]


def rule(cursor: InterventionCursor, found: xr.Dataset) -> str:
    """Return which change was made, in words."""
    whole = cursor.part == "whole"
    named = part_words(cursor) if whole else f"the part P(S), {part_words(cursor)},"
    if cursor.action == "patch":
        formula = "S becomes the donor's S" if whole else "S becomes S − P(S) + P(donor's S)"
        return (
            f"<b>The rule:</b> {named} is exchanged between the readings of example "
            f"{cursor.example} and example {cursor.donor}: {formula}, and the model reads on. "
            f"Controls: the same part of example {found.attrs['unrelated']}, which has nothing to "
            "do with either, and a random change as large in every head."
        )
    several = cursor.part == "modes" and cursor.modes > 1
    is_, its = ("are", "their") if several else ("is", "its")
    done, added = {
        "zero": ("set to zero", ""),
        "mean": (f"set to {its} mean over the seed's examples", " + the mean of P(S)"),
        "other": ("exchanged for that of the example before", " + P(that example's S)"),
        "scale": (f"scaled to {cursor.percent} %", f" + {cursor.percent / 100:g} P(S)"),
    }[cursor.action]
    rest = "" if whole else f" (S becomes S − P(S){added}, where P(S) is that part of S)"
    return (
        f"<b>The rule:</b> {part_words(cursor)} {is_} {done}{rest}, and the model reads on. "
        "Control: a random change as large in every head."
    )


def verdict(cursor: InterventionCursor, examples: Examples, found: xr.Dataset) -> str:
    """Return what became of the answers, in a sentence or two."""
    if cursor.action != "patch":
        return _erased_verdict(found, asked_queries(examples, cursor.example))
    here = found.isel({dims.DIRECTION: 0, dims.QUERY: asked_queries(examples, cursor.example)})
    count = int(here["stayed"].isel({dims.CONTROL: 0}).notnull().sum())

    def became(control: str) -> int:
        return int(here["became_donor"].sel({dims.CONTROL: control}).sum())

    stayed = int(here["stayed"].sel({dims.CONTROL: PATCH}).sum())
    neither = count - became(PATCH) - stayed
    rest = f", {stayed} stayed and {neither} became neither" if neither else f" and {stayed} stayed"
    unknown = int((~here["answered"]).sum())
    alike = here.sizes[dims.QUERY] - count - unknown
    said = (
        f"The two contexts give {counted(count, 'answer')} differently. With the change <b>"
        f"{became(PATCH)} became the donor's</b>{rest} (intact: "
        f"{became(INTACT)} are the donor's; unrelated donor: {became(UNRELATED)}; random: "
        f"{became(RANDOM)}; all of the donor's memory: {became(DONOR)})."
    )
    if alike:
        said += f" {alike} {'is' if alike == 1 else 'are'} the same in both, and not measured."
    if unknown:
        said += f" The donor's context does not answer {counted(unknown, 'question')}."
    return said


def _erased_verdict(found: xr.Dataset, asked: np.ndarray) -> str:
    later = asked[np.isfinite(found["logit_diff"].values[0, asked])]
    right = {
        str(name): int(row[later].sum())
        for name, row in zip(found[dims.CONTROL].values, found["correct"].values, strict=True)
    }
    given = len(asked) - len(later)
    return (
        f"<b>{right[CHANGED]} of {counted(len(later), 'answer')} right</b> after the change; "
        f"intact: {right[INTACT]}, after a random change as large: {right[RANDOM]}."
        + (f" {counted(given, 'answer')} came before it." if given else "")
    )


def exactness(cursor: InterventionCursor, examples: Examples, found: xr.Dataset) -> str:
    """Return how far a whole patch is from the donor's own reading; "" for other changes."""
    if cursor.action != "patch" or str(found.attrs["component"]) != "whole":
        return ""
    error = float(found["error"].max())
    window, number = cursor.boundary
    at_end = cursor.boundary == examples.last or (
        window == examples.last.window - 1 and number == examples.passes[window]
    )
    largest = f"largest difference of any logit: <b>{error:.3g} nat</b>"
    if error == 0:
        return (
            f"<b>It reproduces the donor exactly</b> ({largest}): S is all that crosses the last "
            "boundary, so any reading that gets it answers as the donor does."
        )
    if at_end:
        return (
            f"It does not reproduce the donor exactly ({largest}): with this sleep more than S "
            "crosses the boundary, and the rest stays that of the reading itself."
        )
    said = (
        f"It does not reproduce the donor ({largest}): what follows from here is again the "
        "reading's own text."
    )
    if words.crossing(examples.sleep) == words.S_ALONE:
        said += " After the last pass over the last window it does."
    return said


def tables(cursor: InterventionCursor, examples: Examples, found: xr.Dataset) -> str:
    """Return a table of the queries, or one for each way of the exchange."""
    queries = examples.problem(cursor.example).queries
    asked = asked_queries(examples, cursor.example)
    labels = [query.label for query in queries]
    if cursor.action != "patch":
        right = examples.spelt(cursor.example, found["own"].values)
        title = "Answers with the part left alone, changed, and moved at random"
        return _table(title, labels, [("right answer", right)], cursor, examples, found, asked)
    made = []
    for way in found[dims.DIRECTION].values.tolist():
        here = found.sel({dims.DIRECTION: way})
        own, other = _own_and_other(cursor, examples, here)
        heads = ("right by the recipient's context", "by the donor's")
        pair = (own, other) if way == "noise" else (other, own)
        columns = list(zip(heads, pair, strict=True))
        made.append(_table(WAYS[way], labels, columns, cursor, examples, here, asked))
    return "".join(made)


def _table(
    title: str,
    labels: Sequence[str],
    rights: Sequence[tuple[str, list[str]]],
    cursor: InterventionCursor,
    examples: Examples,
    found: xr.Dataset,
    asked: np.ndarray,
) -> str:
    controls = [str(name) for name in found[dims.CONTROL].values]
    said = {
        name: examples.spelt(cursor.example, found["said"].sel({dims.CONTROL: name}).values)
        for name in controls
    }
    differences = {n: found["logit_diff"].sel({dims.CONTROL: n}).values for n in controls}
    own, other = _own_and_other(cursor, examples, found)
    way = str(found[dims.DIRECTION].values) if dims.DIRECTION in found.coords else ""
    what = AXES[way]
    names = "".join(f'<th scope="col">{NAMES[name]}</th>' for name in controls)
    rows = []
    for row, label in enumerate(labels):
        cells = "".join(f"<td>{escape(answers[row])}</td>" for _, answers in rights)
        for name in controls:
            missed = cursor.action != "patch" and np.isnan(differences[name][asked[row]])
            text = "–" if missed else said[name][row]
            kind = "is-own" if text == own[row] else "is-given" if text == other[row] else "is-not"
            cells += f'<td class="{kind}">{escape(text)}</td>'
        for name in controls:
            value = float(differences[name][asked[row]])
            cells += f"<td class=number>{number(value)}</td>"
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col" rowspan="2">{escape(text)}</th>' for text, _ in rights)
    span = len(controls)
    return (
        f"<h3>{escape(title)}</h3>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f'<table class="changes"><thead><tr><th scope="col" rowspan="2">question</th>{heads}'
        f'<th scope="colgroup" colspan="{span}">answer, with S</th>'
        f'<th scope="colgroup" colspan="{span}">{escape(what)} (nat)</th></tr>'
        f"<tr>{names}{names}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _own_and_other(
    cursor: InterventionCursor, examples: Examples, found: xr.Dataset
) -> tuple[list[str], list[str]]:
    """Return the right answers in the reading's own context and in the other one.

    A dash where the donor's context has none; nothing is exchanged: the same twice.
    """
    own = examples.spelt(cursor.example, found["own"].values)
    if "other" not in found:
        return own, own
    other = examples.spelt(cursor.example, found["other"].values)
    known = found["answered"].values[asked_queries(examples, cursor.example)]

    def of_donor(answers: list[str]) -> list[str]:
        return [text if one else "–" for text, one in zip(answers, known, strict=True)]

    if str(found[dims.DIRECTION].values) == "noise":
        return own, of_donor(other)
    return of_donor(own), other


def number(value: float) -> str:
    """Return a signed number with one decimal; a dash for NaN."""
    return "–" if np.isnan(value) else words.signed(value, 1, plus=True)


LEGEND: Final = (
    '<p class="legend"><span class="is-own">right in its own context</span>'
    '<span class="is-given">right in the other context</span>'
    '<span class="is-not">neither</span></p>'
)
LEGEND_ERASED: Final = (
    '<p class="legend"><span class="is-own">right</span><span class="is-not">wrong</span></p>'
)
