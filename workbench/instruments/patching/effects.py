"""What interventions did, over examples: effects by difficulty with intervals and controls."""

from __future__ import annotations

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.clustered import CASE, Estimate, by_difficulty, mean, ratio, share
from workbench.instruments.controls import PATCH, UNRELATED
from workbench.tasks.base import Task


def patches_by_difficulty(effects: xr.Dataset, *, pooled: bool = False) -> xr.Dataset:
    """Summarise what `patch_effects` returned.

    - effects: over (direction, control, component, window, sleep_pass, example, query).
    - pooled: over all difficulties together.

    Result: over (difficulty, direction, control, component, window, sleep_pass): ``logit_diff``,
    the mean difference, nats; ``effect``, how far it went from the recipient's (0) to the donor's
    (1); ``became_donor`` and ``stayed``, shares of the answers. With the control "unrelated
    donor", without the dim control: ``beyond``, the patch's effect with the unrelated donor's
    as zero, (patch - unrelated) / (1 - unrelated); ``became_more``, its share that became the
    donor's minus the unrelated one's. Each with ``_low`` and ``_high``, 95 % over examples.
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
    difficulty = None if pooled else effects[dims.DIFFICULTY]
    plain = effects.drop_vars(dims.DIFFICULTY)
    asked = plain["logit_diff"].notnull()
    moved = plain["logit_diff"] - plain["unpatched"]
    whole = (plain["donor"] - plain["unpatched"]).broadcast_like(moved)
    shares = {name: plain[name] == 1 for name in ("became_donor", "stayed")}
    parts = [
        by_difficulty(mean, "logit_diff", plain["logit_diff"], asked, difficulty=difficulty),
        by_difficulty(_progress, "effect", moved, whole, asked, difficulty=difficulty),
        *(by_difficulty(share, n, v, asked, difficulty=difficulty) for n, v in shares.items()),
    ]
    if UNRELATED in effects[dims.CONTROL]:
        patch, other = (
            {n: a.sel({dims.CONTROL: kind}, drop=True) for n, a in (
                ("moved", moved), ("became", plain["became_donor"]), ("asked", asked),
                ("whole", whole),
            )}
            for kind in (PATCH, UNRELATED)
        )  # fmt: skip
        further, left = patch["moved"] - other["moved"], other["whole"] - other["moved"]
        both = patch["asked"] & other["asked"]
        more = patch["became"] - other["became"]
        parts += [
            by_difficulty(_progress, "beyond", further, left, both, difficulty=difficulty),
            by_difficulty(mean, "became_more", more, both, difficulty=difficulty),
        ]
    found = xr.merge(parts)
    chance = plain["chance"]
    lines = by_difficulty(mean, "chance", chance, chance.notnull(), difficulty=difficulty)
    found["chance"] = lines["chance"]
    for name in ("logit_diff", "logit_diff_low", "logit_diff_high"):
        found[name].attrs["units"] = "nat"
    measured = plain["unpatched"].isel({dims.DIRECTION: 0}).notnull()
    return _counted(found, measured, difficulty).assign_attrs(_attributes(effects))


def ablations_by_difficulty(
    effects: xr.Dataset, task: Task | None = None, *, pooled: bool = False
) -> xr.Dataset:
    """Summarise what `ablation_effects` returned.

    - effects: over (procedure, control, component, window, sleep_pass, example, query).
    - task: adds ``chance (chance_line, difficulty)``.
    - pooled: over all difficulties together; then without chance lines.

    Result: over (difficulty, procedure, control, component, window, sleep_pass): ``accuracy``,
    ``log_prob`` and ``logit_diff``, nats; over (difficulty) the same as ``intact_...``, of the
    memory left alone. Each with ``_low`` and ``_high``, 95 % over examples.
    """
    difficulty = None if pooled else effects[dims.DIFFICULTY]
    plain = effects.drop_vars(dims.DIFFICULTY)
    summaries = []
    for prefix in ("", "intact_"):
        asked = plain[f"{prefix}log_prob"].notnull()
        right = plain[f"{prefix}correct"] == 1
        summaries.append(
            by_difficulty(share, f"{prefix}accuracy", right, asked, difficulty=difficulty)
        )
        for name in ("log_prob", "logit_diff"):
            values = plain[f"{prefix}{name}"]
            summaries.append(
                by_difficulty(mean, f"{prefix}{name}", values, asked, difficulty=difficulty)
            )
    found = xr.merge(summaries)
    for score in found.data_vars.values():
        if "accuracy" not in str(score.name):
            score.attrs["units"] = "nat"
    found = _counted(found, plain["intact_log_prob"].notnull(), difficulty)
    if task is not None and not pooled:
        lines, levels = task.chance(), found[dims.DIFFICULTY].values
        chance = [[line.accuracy.get(int(k), np.nan) for k in levels] for line in lines.values()]
        found["chance"] = (dims.CHANCE_LINE, dims.DIFFICULTY), np.array(chance)
        found = found.assign_coords({dims.CHANCE_LINE: list(lines)})
    return found.assign_attrs(_attributes(effects))


def _progress(moved: np.ndarray, whole: np.ndarray, asked: np.ndarray) -> Estimate:
    sums = (np.where(asked, values, 0.0).sum(axis=1) for values in (moved, whole))
    return ratio(*sums)


def _counted(
    found: xr.Dataset, measured: xr.DataArray, difficulty: xr.DataArray | None
) -> xr.Dataset:
    counts = measured.sum(CASE)
    if difficulty is not None:
        levels = found[dims.DIFFICULTY]
        counts = (measured & (difficulty.drop_vars(dims.DIFFICULTY) == levels)).sum(CASE)
    found["asked"] = counts.reset_coords(drop=True)
    return found


def _attributes(effects: xr.Dataset) -> dict[object, object]:
    return dict(effects.attrs) | {"interval": "95 %, over examples"}
