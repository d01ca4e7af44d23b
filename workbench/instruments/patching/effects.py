"""What interventions did, over examples: effects by difficulty with intervals and controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.clustered import (
    CASE,
    Estimate,
    mean,
    ratio,
    share,
    summarised,
    with_chance,
)
from workbench.instruments.controls import PATCH, UNRELATED
from workbench.instruments.recorded import in_nats
from workbench.tasks.base import Task


def patches_by_difficulty(effects: xr.Dataset) -> xr.Dataset:
    """Summarise what `patch_effects` returned.

    - effects: over (direction, control, component, window, sleep_pass, example, query).

    Result: over (difficulty, direction, control, component, window, sleep_pass): ``logit_diff``,
    the mean difference, nats; ``effect``, how far it went from the recipient's (0) to the donor's
    (1); ``became_donor`` and ``stayed``, shares of the answers. Without the dim control:
    ``beyond``, the patch's effect with the unrelated donor's as zero,
    (patch - unrelated) / (1 - unrelated); ``became_more``, its share that became the donor's minus
    the unrelated one's. Each with ``_low`` and ``_high``, 95 % over examples.
    ``chance (difficulty, direction)``, how often an unrelated context gives the donor's answer;
    ``asked (difficulty)``, the questions measured.

    An effect is a ratio of means, so that a question whose two ends lie close together does not
    blow up. It is about 0.5 where the recipient's answer is lost and the donor's not gained, as an
    unrelated memory does it: so it says little alone. ``beyond`` and the shares say whether the
    answer became the donor's.

    Intervals: shares by Wilson with the design effect of examples; the others are Student t on the
    linearised ratio of sums over examples (`workbench.instruments.clustered`), so patch and control
    are paired, by example. With m what a change moved the logit difference by in an example, and w
    the whole way: ``beyond = sum (m_patch - m_unrelated) / sum (w - m_unrelated)``. Where the
    unrelated donor goes nearly all the way, the denominator is small and the interval wide. That an
    example's unrelated donor is also the donor of the example before is not taken into account.
    """
    plain, difficulty = effects.drop_vars(dims.DIFFICULTY), effects[dims.DIFFICULTY]
    asked = plain["logit_diff"].notnull()
    moved = plain["logit_diff"] - plain["unpatched"]
    whole = (plain["donor"] - plain["unpatched"]).broadcast_like(moved)
    patch, other = (
        [a.sel({dims.CONTROL: kind}, drop=True) for a in (moved, plain["became_donor"], asked)]
        for kind in (PATCH, UNRELATED)
    )
    further, more, both = patch[0] - other[0], patch[1] - other[1], patch[2] & other[2]
    left = whole.sel({dims.CONTROL: UNRELATED}, drop=True) - other[0]
    chance = plain["chance"]
    estimates = {
        "logit_diff": (mean, plain["logit_diff"], asked),
        "effect": (_progress, moved, whole, asked),
        **{name: (share, plain[name] == 1, asked) for name in ("became_donor", "stayed")},
        "beyond": (_progress, further, left, both),
        "became_more": (mean, more, both),
        "chance": (mean, chance, chance.notnull()),
    }
    found = summarised(difficulty, estimates).drop_vars(["chance_low", "chance_high"])
    measured = plain["unpatched"].isel({dims.DIRECTION: 0}).notnull()
    return _counted(in_nats(found), effects, measured)


def ablations_by_difficulty(effects: xr.Dataset, task: Task | None = None) -> xr.Dataset:
    """Summarise what `ablation_effects` returned.

    - effects: over (procedure, control, component, window, sleep_pass, example, query).
    - task: adds ``chance (chance_line, difficulty)``.

    Result: over (difficulty, procedure, control, component, window, sleep_pass): ``accuracy``,
    ``log_prob`` and ``logit_diff``, nats; over (difficulty) the same as ``intact_...``, of the
    memory left alone. Each with ``_low`` and ``_high``, 95 % over examples.
    """
    plain, difficulty = effects.drop_vars(dims.DIFFICULTY), effects[dims.DIFFICULTY]
    estimates: dict[str, tuple[Any, ...]] = {}
    for prefix in ("", "intact_"):
        asked = plain[f"{prefix}log_prob"].notnull()
        estimates[f"{prefix}accuracy"] = share, plain[f"{prefix}correct"] == 1, asked
        for name in (f"{prefix}log_prob", f"{prefix}logit_diff"):
            estimates[name] = mean, plain[name], asked
    found = in_nats(summarised(difficulty, estimates))
    found = _counted(found, effects, plain["intact_log_prob"].notnull())
    return found if task is None else with_chance(found, task)


def _progress(moved: np.ndarray, whole: np.ndarray, asked: np.ndarray) -> Estimate:
    sums = (np.where(asked, values, 0.0).sum(axis=1) for values in (moved, whole))
    return ratio(*sums)


def _counted(found: xr.Dataset, effects: xr.Dataset, measured: xr.DataArray) -> xr.Dataset:
    difficulty = effects[dims.DIFFICULTY].drop_vars(dims.DIFFICULTY)
    counts = (measured & (difficulty == found[dims.DIFFICULTY])).sum(CASE)
    found["asked"] = counts.reset_coords(drop=True)
    return found.assign_attrs({**effects.attrs, "interval": "95 %, over examples"})
