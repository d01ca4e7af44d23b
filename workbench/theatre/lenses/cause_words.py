"""Sentences of the lens "cause": the conclusion, how sure it is, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.controls import CHANGED, DONOR, INTACT, PATCH, RANDOM, UNRELATED
from workbench.tasks.phrases import counted
from workbench.theatre.lenses.change import Change, changed_window, three_of
from workbench.theatre.lenses.examples import Examples

ACTIONS: Final = {
    "patch": "patch from the donor",
    "zero": "erase: set to zero",
    "mean": "erase: set to the mean",
    "scale": "scale",
    "other": "exchange for the previous example's",
}
"""What is done to a part."""
PARTS: Final = {
    "whole": "all of S",
    "layer": "one layer",
    "head": "one head",
    "modes": "largest singular modes",
    "change": "what one pass changed",
}
"""Which part of S."""
NAMES: Final = {
    INTACT: "before",
    PATCH: "after",
    CHANGED: "after",
    UNRELATED: "control: unrelated donor",
    RANDOM: "control: random change",
    DONOR: "all of the other’s S",
}
"""Columns, by what the memory was."""
AXES: Final = {
    "noise": "logit of the donor’s answer minus the recipient’s",
    "denoise": "logit of the recipient’s answer minus the donor’s",
    "": "right answer’s logit minus best other",
}
"""Which logit difference is shown, by the way of the exchange; "" where nothing is exchanged."""
OMITS: Final = (
    "One pair, one model: an effect here need not hold over examples; `workbench measure` takes "
    "many. A pass that has begun keeps its own features and KV cache."
)
OMITS_ERASED: Final = (
    "Setting a part to zero may break a model even if the part held nothing: compare with its "
    "mean, and with the random change. One example, one model: `workbench measure` takes many."
)
IN_VIEW: Final = {
    True: (
        " The model gives each answer with the right earlier answers to its own context in view, "
        "which reveal that context whatever the memory holds; the first answer has none before it."
    ),
    False: " The model gives each answer with the right earlier ones in view.",
}
"""What is added where queries are not read alone, by whether S is patched."""


def told(
    examples: Examples, change: Change, here: xr.Dataset, gaps: np.ndarray
) -> dict[str, str | None]:
    """Return the conclusion, how sure it is, the rule, how exact it is, and what is left out.

    `here` is one way of the exchange; `gaps` effect minus control of each query, nats.
    """
    patched = change.patched
    omits = OMITS if patched else OMITS_ERASED
    if len(gaps) > 1 and not examples.batch.isolated:
        omits += IN_VIEW[patched]
    return {
        "sentence": (_patched if patched else _erased)(examples, change, here, gaps),
        "sure": _sure(examples, change, here, gaps),
        "rule": _rule(examples, change),
        "exact": _exact(examples, change, here) if patched and change.part == "whole" else "",
        "omits": omits,
    }


def moved(
    examples: Examples, change: Change, here: xr.Dataset, after: str, before: str
) -> np.ndarray:
    """Return by how much the logit difference of each query asked differs, nats."""
    logits = here["logit_diff"].isel({dims.QUERY: examples.asked(change.example)})
    gap = logits.sel({dims.CONTROL: after}) - logits.sel({dims.CONTROL: before})
    return np.asarray(gap.values, dtype=float)


def part_words(examples: Examples, change: Change) -> str:
    """Return the part of S that is changed, in words; windows are counted from 1."""
    modes = change.modes
    window = changed_window(examples, change.boundary) + 1
    return {
        "whole": "all of S",
        "layer": f"S of layer {change.layer}",
        "head": examples.head_words(change.layer, change.head),
        "modes": f"the {'' if modes == 1 else f'{modes} '}"
        f"largest {'singular mode' if modes == 1 else 'modes'} of every head",
        "change": f"what pass {change.changed} over window {window} changed",
    }[change.part]


def _patched(examples: Examples, change: Change, here: xr.Dataset, gaps: np.ndarray) -> str:
    asked = examples.asked(change.example)
    measured = here.isel({dims.QUERY: asked})
    count = int(measured["stayed"].isel({dims.CONTROL: 0}).notnull().sum())
    became = {
        name: int(measured["became_donor"].sel({dims.CONTROL: name}).sum())
        for name in (PATCH, UNRELATED, INTACT)
    }
    noise = change.way == "noise"
    giver, question = ("donor", "needed") if noise else ("recipient", "enough")
    # those that were the giver's all along say nothing
    beyond = became[PATCH] - became[INTACT] - max(became[UNRELATED] - became[INTACT], 0)
    part = _capital(part_words(examples, change))
    if beyond > 0:
        of = counted(count, "answer")
        verdict = f"{part} {_is(change)} {question} for {beyond} of {of}, beyond the control"
    elif np.nanmean(gaps) > 0 and 2 * (gaps > 0).sum() > count:
        pulls = "pull" if _is(change) == "are" else "pulls"
        verdict = f"{part} {pulls} the answers towards the {giver}’s, and turns none of {count}"
    else:
        verdict = f"{part} {_is(change)} not {question} here for any of {counted(count, 'answer')}"
    said = (
        f"{verdict}. With the {giver}’s, {counted(became[PATCH], 'answer')} "
        f"{_are(became[PATCH])} the {giver}’s ({became[INTACT]} before the change, "
        f"{became[UNRELATED]} with an unrelated example’s)."
    )
    unknown = int((~measured["answered"]).sum())
    alike = measured.sizes[dims.QUERY] - count - unknown
    if alike:
        have = "has" if alike == 1 else "have"
        said += f" {counted(alike, 'question')} {have} the same answer in both texts."
    if unknown:
        said += f" The donor’s context does not answer {counted(unknown, 'question')}."
    return said


def _erased(examples: Examples, change: Change, here: xr.Dataset, gaps: np.ndarray) -> str:
    asked = examples.asked(change.example)
    later = asked[np.isfinite(here["logit_diff"].values[0, asked])]
    right = {
        str(name): int(row[later].sum())
        for name, row in zip(here[dims.CONTROL].values, here["correct"].values, strict=True)
    }
    given = len(asked) - len(later)
    part, count = _capital(part_words(examples, change)), counted(len(later), "answer")
    lost = right[RANDOM] - right[CHANGED]
    several = _is(change) == "are"
    if lost > 0:
        verdict = f"matter{'' if several else 's'} for {lost} of {count}, beyond a random change"
    elif right[CHANGED] > max(right[INTACT], right[RANDOM]):
        verdict = f"{'were' if several else 'was'} in the way of {count}"
    else:
        verdict = f"matter{'' if several else 's'} no more for {count} than a random change"
    said = (
        f"{part} {verdict}: {_done(change)[0]}, {right[CHANGED]} {_are(right[CHANGED])} right; "
        f"before {right[INTACT]}, after a random change as large {right[RANDOM]}."
    )
    return said + (f" {counted(given, 'answer')} came before the change." if given else "")


def _sure(examples: Examples, change: Change, here: xr.Dataset, gaps: np.ndarray) -> str:
    known = gaps[np.isfinite(gaps)]
    if not len(known):
        return "No answer is measured here."

    def by(name: str) -> str:
        return signed(float(np.nanmean(moved(examples, change, here, name, INTACT))))

    patched, (after, control) = change.patched, change.compared
    beyond = int((known > 0).sum() if patched else (known < 0).sum())
    said = (
        f"Effect minus control: {signed(float(known.mean()))} nat on average (effect "
        f"{by(after)}, control {by(control)}), "
        f"{'above' if patched else 'below'} the control in {beyond} of {len(known)}."
    )
    if patched:
        said += f" A random change as large moves the answers by {by(RANDOM)} nat."
    return said


def done_words(change: Change) -> str:
    """Return what is done to a part, for a name."""
    if change.patched:
        return f"from example {change.donor + 1}"
    return _done(change)[0]


def _done(change: Change) -> tuple[str, str]:
    """Return what was done to the part, and what is added to S in its place."""
    several = _is(change) == "are"
    return {
        "zero": ("set to zero", ""),
        "mean": (
            f"set to {'their' if several else 'its'} mean over the seed’s examples",
            " + the mean of P(S)",
        ),
        "other": ("exchanged for that of the example before", " + P(that example’s S)"),
        "scale": (f"scaled to {change.percent} %", f" + {change.percent / 100:g} P(S)"),
        "patch": ("exchanged", ""),
    }[change.action]


def _rule(examples: Examples, change: Change) -> str:
    whole = change.part == "whole"
    part = part_words(examples, change)
    if change.patched:
        third = three_of(examples, change)["unrelated"]
        formula = "S becomes the other’s S" if whole else "S becomes S − P(S) + P(the other’s S)"
        named = part if whole else f"the part P(S), {part},"
        return (
            f"{_capital(named)} is exchanged between the readings of example {change.example + 1} "
            f"and example {change.donor + 1}: {formula}, and the model reads on. Controls: the "
            f"same part of example {third + 1}, which has nothing to do with either, and a random "
            "change as large in every head."
        )
    done, added = _done(change)
    rest = "" if whole else f" (S becomes S − P(S){added}, where P(S) is that part of S)"
    return (
        f"{_capital(part)} {_is(change)} {done}{rest}, and the model reads on. Control: a random "
        "change as large in every head."
    )


def _exact(examples: Examples, change: Change, here: xr.Dataset) -> str:
    """Return how far a whole patch is from the other's own reading."""
    error = float(here["error"])
    largest = f"largest difference of any logit: {error:.3g} nat"
    sleep, (window, number) = examples.sleep, change.boundary
    at_end = change.boundary == examples.last or (
        window == examples.last[0] - 1 and number == sleep.passes
    )
    if error == 0:
        return (
            f"It reproduces the other reading exactly ({largest}): S is all that crosses the last "
            "boundary, so any reading that gets it answers alike."
        )
    if at_end:
        return (
            f"It does not reproduce the other reading exactly ({largest}): with this sleep more "
            "than S crosses the boundary, and the rest stays that of the reading itself."
        )
    said = (
        f"It does not reproduce the other reading ({largest}): what follows from here is again "
        "the reading’s own text."
    )
    if sleep.eviction != "sliding" and sleep.conv_state != "carry":
        said += " After the last pass over the last window it does."
    return said


def every(
    examples: Examples,
    change: Change,
    found: np.ndarray,
    heads: Sequence[tuple[int, int]],
    spread: float,
) -> dict[str, str]:
    """Return which head matters most, if any does more than controls do.

    `found` is effect minus control of each, nats; `spread`, how far controls alone move an answer.
    """
    toward = found if change.patched else -found
    if not np.isfinite(toward).any():
        return {"sentence": "No answer is measured here.", "sure": ""}
    order = np.argsort(np.where(np.isfinite(toward), -toward, np.inf))
    beyond = [int(n) for n in order if toward[n] > spread]
    alone = f"controls alone move an answer by {spread:.2f} nat"
    if not beyond:
        said = (
            "No head stands out: the strongest effect minus control is "
            f"{signed(float(found[order[0]]))} nat on average, and {alone}"
        )
    else:
        first, *others = beyond
        said = (
            f"{_capital(examples.head_words(*heads[first]))} matters most: effect minus control "
            f"{signed(float(found[first]))} nat on average"
        )
        if others:
            second = others[0]
            name = examples.head_words(*heads[second])
            said += f"; then {name}, {signed(float(found[second]))} nat"
        elif len(heads) > 1:
            said += f". No other head stands out: {alone}"
    sure = "Each head is changed alone, all else left; heads that can replace each other look idle."
    return {"sentence": f"{said}.", "sure": sure}


def python(examples: Examples, change: Change) -> str:
    """Return Python that gives the same numbers."""
    part = {
        "whole": "components.whole()",
        "layer": f"components.layer({change.layer})",
        "head": f"components.head({change.layer}, {change.head})",
        "modes": f"components.modes({change.modes})",
        "change": f"PassChange({changed_window(examples, change.boundary)}, {change.changed})",
    }[change.part]
    patched, (after, control) = change.patched, change.compared
    called = "patch_pair" if patched else "change_one"
    place = f"boundary={change.boundary}, part={part}, seed={examples.seed}"
    if patched:
        three = ", ".join(f"{name}={n}" for name, n in three_of(examples, change).items())
        given = f"checkpoint.task, batch, sleep, {three}"
    else:
        given = f"batch, sleep, example={change.example}, method={change.method!r}"
    way = f".sel(direction={change.way!r})" if patched else ""
    imported = (
        "from workbench.instruments.interventions import PassChange"
        if change.part == "change"
        else "from workbench.instruments.patching import components"
    )
    return "\n".join(
        [
            *examples.python(
                imported, f"from workbench.instruments.patching.pairs import {called}"
            ),
            f"found = {called}(",
            f"    checkpoint.model, {given},",
            f"    {place},",
            f"){way}",
            'logits = found["logit_diff"]',
            f"after, control = (logits.sel(control=name) for name in ({after!r}, {control!r}))",
            "effect_minus_control = after - control",
            "",
        ]
    )


def signed(value: float) -> str:
    """Return a signed number with two decimals, and a proper minus."""
    text = f"{value:+.2f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _is(change: Change) -> str:
    return "are" if change.part == "modes" and change.modes > 1 else "is"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
