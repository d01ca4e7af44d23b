"""What a decoder recovers after the memory was overwritten, made fainter, or erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Measurement, Reporter, Rows, drawn
from workbench.measurements.recovery import RecoverySettings, means_over_splits
from workbench.measurements.tables import by_label, by_level, grid, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class ErasureSettings(RecoverySettings):
    """What a decoder recovers after the memory was overwritten, made fainter, or erased.

    Attributes
    ----------
    others : int
        Other texts slept on afterwards, one after the other.
    """

    others: int = Field(2, ge=0, le=16)


def run(checkpoint: Checkpoint, settings: ErasureSettings, reporter: Reporter) -> xr.Dataset:
    """Treat the memory in each way, then train decoders on it, and let the model answer."""
    from workbench.instruments.clustered import by_difficulty, share
    from workbench.instruments.privacy import answers_after, recovery_after

    batch, sleep = drawn(checkpoint, settings)
    others = [drawn(checkpoint, settings, step=i + 1)[0] for i in range(settings.others)]
    answers = answers_after(checkpoint.model, batch, sleep, others=others)
    accuracy = by_difficulty(
        share,
        "accuracy",
        answers.drop_vars("asked"),
        answers["asked"].drop_vars("asked").expand_dims({dims.TREATMENT: answers[dims.TREATMENT]}),
        difficulty=xr.DataArray(batch.difficulty, dims=(dims.EXAMPLE, dims.QUERY)),
    )
    recovered = recovery_after(
        checkpoint.model,
        batch,
        sleep,
        others=others,
        facts=checkpoint.task.probe_targets(batch),
        symbols=checkpoint.task.vocabulary,
        seeds=range(settings.splits),
        **reporter.of_shares(total=2.0),  # of the texts, then of the facts in the same states
    )
    return xr.merge([recovered, accuracy], combine_attrs="override")


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return what a decoder recovers after each treatment, and what the model still answers."""
    one = data.isel({dims.LAYER: 0})
    facts = one.assign(fact_recovered=one["fact_recovered"].mean(dims.SEED))
    treatments, targets = (by_label(data, dim) for dim in (dims.TREATMENT, dims.TARGET))
    texts = by_label(data, dims.SOURCE_WINDOW, text="text of window {}")
    rows = grid(means_over_splits(one), "recovered", treatments, texts, corner="done to S")
    extra = grid(facts, "fact_recovered", treatments, targets, corner="")
    found = {
        "recovered by a decoder": [row + more[1:] for row, more in zip(rows, extra, strict=True)]
    }
    if "accuracy" in data:  # older measurements asked the decoder alone
        answered = grid(data, "accuracy", treatments, by_level(data), corner="done to S")
        found["answered by the model"] = answered
    return found


def concludes(data: xr.Dataset) -> str:
    """Return what a decoder recovers of the last window's text after each treatment."""
    means = means_over_splits(data.isel({dims.LAYER: 0}))["recovered"]
    last, treatments = means.isel({dims.SOURCE_WINDOW: -1}), by_label(data, dims.TREATMENT)
    each = [f"{number(float(last.sel(at)))} after {name}" for name, at in treatments.items()]
    return f"Of the last window's text a decoder recovers {', '.join(each)}."


ERASURE = Measurement(
    asks="What is left of a text once S has been overwritten or erased?",
    concludes=concludes,
    title="What is recovered after erasing",
    order=90,
    says=(
        "What is recovered after something was done to the memory, and what the model itself then "
        "answers. The decoder is trained again each time, so a fainter S costs it nothing; the "
        "model is not, and it does."
    ),
    settings=ErasureSettings,
    run=run,
    tables=tables,
)
