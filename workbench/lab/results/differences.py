"""The differences between arms that the questions are about, tested as one family.

Every difference of a record's questions, at every difficulty, is one comparison of a family: a
record with more questions is corrected more. So the same numbers stand on the page Findings, in
``workbench results`` and in ``docs/findings.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.lab import results
from workbench.lab.results.questions import Question, answerable
from workbench.lab.results.seeds import Pair, pairs_of
from workbench.lab.results.tables import conditions, with_n_test
from workbench.training.statistics import ALPHA, holm, smallest_exact_p

MARGIN = 0.05
"""Share of right answers within which two arms count as equally good."""


@dataclass(frozen=True)
class Compared:
    """Two arms compared at every difficulty; `words` say which is subtracted from which.

    `table` is over difficulty: of a difference what `workbench.lab.results.difference` returns,
    with ``p_welch_holm`` and ``p_exact_holm``; of an equality what `results.equivalence` returns,
    with ``p_holm``.
    """

    words: str
    table: xr.Dataset


@dataclass(frozen=True)
class Family:
    """All comparisons of a record by name of the question.

    Differences are corrected together, and equalities together, as a separate family.
    """

    differences: dict[str, list[Compared]]
    equalities: dict[str, list[Compared]]

    @cached_property
    def size(self) -> int:
        """Return how many differences are corrected together."""
        return _size(self.differences)

    @cached_property
    def equal_size(self) -> int:
        """Return how many equalities are corrected together."""
        return _size(self.equalities)

    @property
    def standing(self) -> tuple[int, int]:
        """Return how many differences stand by Welch's t test, and how many by the exact one."""
        tables = _tables(self.differences)
        by_t, exact = (
            sum(int((table[name] < ALPHA).sum()) for table in tables)
            for name in ("p_welch_holm", "p_exact_holm")
        )
        return by_t, exact


def family(data: xr.Dataset) -> Family:
    """Return every difference and equality of the questions that a record answers, corrected.

    `data` is what `workbench.lab.results.dataset` or `results.final` returns. Pairs of which one
    has no finished run are left out.
    """
    final = results.final(data)
    asked = answerable(final)
    if not asked:
        return Family({}, {})
    compared = {q.measured for q in asked if q.differences or q.equalities}
    tested = {name: with_n_test(conditions(final[name])) for name in compared}

    def each(pairs: str, compare: Callable[..., xr.Dataset]) -> dict[str, list[Compared]]:
        return {
            question.name: [
                Compared(words, compare(tested[question.measured], *pair))
                for pair, words in _named(tested.get(question.measured), getattr(question, pairs))
            ]
            for question in asked
        }

    differences = each("differences", results.difference)
    equalities: dict[str, list[Compared]] = {}
    if not final.attrs["measure"]:  # the margin is one of accuracy
        equalities = each("equalities", partial(results.equivalence, margin=MARGIN))
    for name in ("p_welch", "p_exact"):
        _correct(differences, name)
    _correct(equalities, "p")
    return Family(differences, equalities)


def measured(
    compared: Mapping[str, list[Compared]], question: Question
) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield words, difficulty and values of each comparison of a question that was measured."""
    for one in compared.get(question.name, []):
        names = list(map(str, one.table.data_vars))
        columns = [one.table[name].values.tolist() for name in (dims.DIFFICULTY, *names)]
        for level, *row in zip(*columns, strict=True):
            values = dict(zip(names, row, strict=True))
            if not math.isnan(values["mean"]):
                yield one.words, level, values


def family_words(found: Family) -> str:
    """Return in words what is tested, corrected together, and what can stand; "" without any."""
    if not found.size:
        return ""
    seeds = {
        (int(a), int(b))
        for table in _tables(found.differences)
        for a, b in zip(table["count"].values, table["other_count"].values, strict=True)
        if a and b
    }
    counts = sorted(seeds, key=lambda pair: smallest_exact_p(*pair))
    by_t, exact = found.standing
    said = (
        f"{found.size} differences (every pair of arms that a question names, at every difficulty) "
        "are one family: p values are corrected for all of them together (Holm). Intervals are "
        "Welch's 95 % t intervals, for each difference alone; arms are compared unpaired. The "
        "exact p is that of the permutation test over all ways to split the seeds. "
        f"After the correction {by_t} of {found.size} stand at 0.05 by Welch's t test, which takes "
        f"seeds as normal, and {exact} by the exact test, which does not."
    )
    if counts and (least := smallest_exact_p(*counts[0])) * found.size > ALPHA:
        a, b = counts[0]
        said += (
            f" None can by the exact test: with {a} against {b} seeds its p is never below "
            f"{least:.2g}, so that the first of {found.size} is never below "
            f"{min(least * found.size, 1):.2g}."
        )
    if found.equal_size:
        said += (
            f" Whether one arm is as good as another is asked with a margin of {MARGIN:g}, chosen "
            "after the means of depo-n8 were known."
        )
    return said


def _named(
    tested: xr.DataArray | None, pairs: tuple[tuple[Pair, Pair], ...]
) -> list[tuple[tuple[Pair, Pair], str]]:
    """Return the pairs of which both have finished runs, with their words."""
    if tested is None:  # nothing is compared
        return []
    measured = tested.notnull().any([dims.SEED, dims.DIFFICULTY]).values
    named = zip(pairs_of(tested), tested[dims.CONDITION].values.tolist(), measured, strict=True)
    words = {pair: said for pair, said, known in named if known}
    return [((a, b), f"{words[a]} minus {words[b]}") for a, b in pairs if a in words and b in words]


def _tables(found: dict[str, list[Compared]]) -> list[xr.Dataset]:
    return [one.table for each in found.values() for one in each]


def _correct(found: dict[str, list[Compared]], name: str) -> None:
    """Add to each table its p values as corrected over all tables, as ``NAME_holm``."""
    tables = _tables(found)
    if not tables:
        return
    p = np.stack([table[name].values for table in tables])
    measured = ~np.isnan(np.stack([table["mean"].values for table in tables]))
    every = np.full(p.shape, np.nan)
    every[measured] = holm(p[measured])
    for table, values in zip(tables, every, strict=True):
        table[f"{name}_holm"] = (table[name].dims, values)


def _size(found: dict[str, list[Compared]]) -> int:
    """Return how many comparisons were measured."""
    return sum(int(table["mean"].notnull().sum()) for table in _tables(found))
