"""The answer to a question in one sentence, and how sure it is: worked out, never written by hand.

Differences are those of `workbench.lab.results.differences`: "stands" is below 0.05 after the
correction by Welch's t test, "t interval" one whose own 95 % interval leaves out zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from workbench import dims
from workbench.lab.results.differences import Compared, Family, measured
from workbench.lab.results.questions import Question
from workbench.tasks.phrases import level_words
from workbench.training.statistics import ALPHA

SHOWN: Final = 4
"""Most arms that a sentence names."""
VERDICTS: Final = {
    "equal_tokens": ("Yes", "Yes", "Not shown"),
    "equal_flops": ("No", "In part", "Not shown"),
    "rules": ("Yes", "Yes", "Not shown"),
}
"""Yes-or-no questions: the sentence if every difference stands, if some do, and if none does."""


class Conclusion(NamedTuple):
    """The answer in one sentence, and how sure it is."""

    answer: str
    sure: str


def conclusion(question: Question, table: xr.Dataset, found: Family) -> Conclusion:
    """Return what a question's table and differences say."""
    compared = found.differences.get(question.name, [])
    if any(bool(one.table["mean"].notnull().any()) for one in compared):
        answer = _of_differences(question, table, compared)
    else:
        answer = _BY_QUESTION.get(question.name, _ranking)(table)
    return Conclusion(answer, _sure(question, table, found))


def _of_differences(question: Question, table: xr.Dataset, compared: Sequence[Compared]) -> str:
    """Name the differences where the largest one is, the strongest first."""
    whole = np.stack([one.table["mean"].values for one in compared])
    column = int(np.nan_to_num(np.abs(whole), nan=-1.0).max(axis=0).argmax())
    level = compared[0].table[dims.DIFFICULTY].values[column]
    at = [(one.words, one.table.sel({dims.DIFFICULTY: level})) for one in compared]
    at = sorted(
        ((words, one) for words, one in at if not math.isnan(float(one["mean"]))),
        key=lambda pair: -abs(float(pair[1]["mean"])),
    )
    parts, before = [], ""
    for words, one in at[:SHOWN]:
        first, _, second = words.partition(" minus ")
        mean = float(one["mean"])
        said = f"{abs(mean):.2f} {'above' if mean >= 0 else 'below'} {second} ({_weight(one)})"
        parts.append(said if first == before else f"{first} lies {said}")
        before = first
    sentence = f"{_at(table, level)}, {'; '.join(parts)}."
    if question.name not in VERDICTS:
        return sentence
    better = -1 if table.attrs.get("measure") else 1  # of bits less is better
    stand = [float(one["p_welch_holm"]) < ALPHA for _, one in at if better * float(one["mean"]) > 0]
    every, some, none = VERDICTS[question.name]
    verdict = every if stand and all(stand) else some if any(stand) else none
    return f"{verdict}: {sentence[0].lower()}{sentence[1:]}"


def _weight(one: xr.Dataset) -> str:
    if float(one["p_welch_holm"]) < ALPHA:
        return "stands"
    low, high = float(one["low"]), float(one["high"])
    if math.isnan(low):
        return "one seed"
    return "t interval" if low > 0 or high < 0 else "not shown"


def _solved(table: xr.Dataset) -> str:
    titles = dict(zip(table[dims.ARM].values, table["title"].values, strict=True))
    parts: list[str] = []
    for arm in table[dims.ARM].values:
        means = table["mean"].sel({dims.ARM: arm})
        each = [
            f"{float(mean):.2g} at N = {n:g}"
            for n, mean in zip(table[dims.PASSES].values, means.values, strict=True)
            if not math.isnan(mean)
        ]
        if each:
            last = each[-1] if len(parts) else ", ".join(each)
            parts.append(f"{titles[arm]}: {last}")
    hardest = level_words(f"{table.attrs['hardest']:g}", str(table.attrs["difficulty"]))
    return (
        f"Of {hardest}, at {table.attrs['threshold']:.0%} right, mean over seeds: "
        f"{'; '.join(parts[:SHOWN])}."
    )


def _within(table: xr.Dataset) -> str:
    half = table[dims.BUDGET].values[len(table[dims.BUDGET]) // 2]
    said = _ranking(table.sel({dims.BUDGET: half}))
    return f"Within {half:.3g} {table.attrs['unit']}, {said[0].lower()}{said[1:]}"


def _cost(table: xr.Dataset) -> str:
    level, means = _widest(table)
    flops = table["training_flops"].values
    known = [i for i in range(len(means)) if not math.isnan(means[i]) and flops[i] == flops[i]]
    if not known:
        return _ranking(table)
    best = max(known, key=lambda i: (round(means[i], 2), -flops[i]))
    cheap = min(known, key=lambda i: flops[i])
    names = table[dims.CONDITION].values
    each = (f"{names[i]} reaches {means[i]:.2f} for {flops[i]:.2g} FLOPs" for i in (best, cheap))
    return f"{_at(table, level)}, {'; '.join(dict.fromkeys(each))}."


def _transfer(table: xr.Dataset) -> str:
    # groups of tokens begin with all of them; difficulties end with the hardest
    level = table[dims.DIFFICULTY].values[0 if table.attrs.get("measure") else -1]
    parts: list[str] = []
    for row in range(table.sizes[dims.CONDITION]):
        one = table["mean"].isel({dims.CONDITION: row}).sel({dims.DIFFICULTY: level})
        one = one.dropna(dims.N_TEST)
        own = str(one[dims.N_TRAIN].item()).rpartition("-")[2]
        tested = [str(n) for n in one[dims.N_TEST].values]
        if own not in tested or len(tested) < 2:
            continue
        at = float(one[tested.index(own)])
        # of bits less is better; of right answers more
        worst = int((np.argmax if table.attrs.get("measure") else np.argmin)(one.values))
        parts.append(
            f"{one[dims.CONDITION].item()}: {at:.2f} at N = {own}, and {float(one[worst]):.2f} "
            f"at N = {tested[worst]}, its worst"
        )
    return f"{_at(table, level)}, {'; '.join(parts[-2:])}." if parts else _ranking(table)


def _ranking(table: xr.Dataset) -> str:
    """Name the arms in their order where they differ the most."""
    level, means = _widest(table)
    less = bool(table.attrs.get("measure"))
    known = [i for i in range(len(means)) if not math.isnan(means[i])]
    known = sorted(known, key=lambda i: means[i] if less else -means[i])
    if len(known) > SHOWN:
        known = [*known[: SHOWN - 1], known[-1]]
    names = _names(table)
    each = ", ".join(f"{names[i]} {means[i]:.2f}" for i in known)
    return f"{_at(table, level)}: {each}."


def _names(table: xr.Dataset) -> list[str]:
    if dims.CONDITION in table.dims:
        return [str(name) for name in table[dims.CONDITION].values]
    titles = table["title"].values
    return [f"{title}, N = {n:g}" for title in titles for n in table[dims.PASSES].values]


def _widest(table: xr.Dataset) -> tuple[Any, list[float]]:
    """Return the difficulty at which the means are furthest apart, and the means there."""
    means = table["mean"].transpose(..., dims.DIFFICULTY).values
    means = means.reshape(-1, means.shape[-1])
    least, most = (np.nan_to_num(means, nan=nan) for nan in (np.inf, -np.inf))
    column = int((most.max(axis=0) - least.min(axis=0)).argmax())
    return table[dims.DIFFICULTY].values[column], means[:, column].tolist()


def at_words(level: Any, difficulty: str, measure: str) -> str:
    """Begin a sentence: "At 3 hops", or "For names" where groups of tokens are measured."""
    words = level_words(level, difficulty)
    if not measure:
        return f"At {words}"
    return "Over all tokens" if words == "all" else f"For {words}"


def _at(table: xr.Dataset, level: Any) -> str:
    return at_words(level, str(table.attrs["difficulty"]), str(table.attrs.get("measure") or ""))


def _sure(question: Question, table: xr.Dataset, found: Family) -> str:
    counts = sorted({int(count) for count in np.unique(table["count"].values) if count})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    said = f"Means over {seeds} training seed{'' if counts == [1] else 's'}"
    said += ", with 95 % t intervals" if counts[-1] > 1 else ", without an interval"
    tested = [values for _, _, values in measured(found.differences, question)]
    if not tested:
        return f"{said}; no differences are tested."
    by_t, exact = (
        sum(values[name] < ALPHA for values in tested) for name in ("p_welch_holm", "p_exact_holm")
    )
    return (
        f"{said}. {by_t} of {len(tested)} differences stand by Welch's t test and {exact} by the "
        f"exact test, corrected together with all {found.size} of this record (Holm)."
    )


_BY_QUESTION: Final = {
    "solved": _solved,
    "flops": _cost,
    "seconds": _within,
    "compute": _within,
    "transfer": _transfer,
}
