"""Which pass an answer is owed to, or which pass and head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.measurements.base import Measurement, Reporter, Rows, Settings, drawn
from workbench.measurements.tables import by_level, by_pass, cell, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class AttributionSettings(Settings):
    """Which pass an answer is owed to, or which pass and head.

    Attributes
    ----------
    method : {"integrated gradients", "shapley values"}
        How; where the two disagree, believe neither.
    parts : {"passes", "passes and heads"}
        What the answer is divided among.
    steps : int
        Points of the path of integrated gradients.
    samples : int
        Orders that are drawn for the Shapley values of more than 8 parts; of fewer they are exact.
    """

    examples: int = Field(64, ge=2, le=10_000)
    method: Literal["integrated gradients", "shapley values"] = "shapley values"
    parts: Literal["passes", "passes and heads"] = "passes"
    steps: int = Field(64, ge=2, le=10_000)
    samples: int = Field(25, ge=1, le=10_000)


def run(checkpoint: Checkpoint, settings: AttributionSettings, reporter: Reporter) -> xr.Dataset:
    """Attribute every answer to the changes that the last window's passes made."""
    from workbench.instruments.attributing.one_answer import SUBJECTS
    from workbench.instruments.attribution import attribute_passes
    from workbench.instruments.boundaries import slept_on, windows_read

    batch, sleep = drawn(checkpoint, settings)
    window = slept_on(batch, sleep)[-1]
    after = (batch.difficulty >= 0) & (
        batch.answer_starts() >= windows_read(batch, sleep)[window].stop
    )
    queries = np.flatnonzero(after.any(axis=0))  # of a text, few examples have the last ones
    if not queries.size:
        given = "examples in which nothing is asked after the last sleep"
        raise WorkbenchError(given, "a query there", "measure more examples")
    options = {name: getattr(settings, name) for name in ("method", "steps", "samples", "seed")}
    options |= {"window": window, "by": SUBJECTS[settings.parts].by}
    count = reporter.counter(len(queries))
    found = []
    for query in queries.tolist():
        rows = np.flatnonzero(after[:, query])
        some = batch.examples(rows)
        of_query = attribute_passes(checkpoint.model, some, sleep, query=query, **options)
        of_query = of_query.assign_coords({dims.EXAMPLE: rows})
        every_one = of_query.reindex({dims.EXAMPLE: np.arange(len(batch))})
        found.append(every_one.drop_vars(dims.EXAMPLE))
        count(1)
    along = xr.IndexVariable(dims.QUERY, queries)
    every = xr.concat(found, along, join="exact", combine_attrs="override")
    every = every.reindex({dims.QUERY: np.arange(batch.difficulty.shape[1])})
    difficulty = xr.DataArray(batch.difficulty, dims=(dims.EXAMPLE, dims.QUERY))
    return _summary(every, difficulty).assign_attrs(
        {**every.attrs, "window": window, "interval": "95 %"}
    )


def _summary(every: xr.Dataset, difficulty: xr.DataArray) -> xr.Dataset:
    """Return means by difficulty, and how far the attributions are from adding up."""
    from workbench.instruments.clustered import mean, summarised

    asked = every["logit_diff"].notnull()
    worth = every["logit_diff"] - every["logit_diff_at_baseline"]
    divided = {"attribution": every["attribution"], "worth": worth}
    summary = summarised(difficulty, {name: (mean, of, asked) for name, of in divided.items()})
    summary["completeness_error"] = every["completeness_error"].quantile(
        [0.5, 1.0], (dims.EXAMPLE, dims.QUERY)
    )
    summary["unexplained"] = every["unexplained"].median()
    of_level = [
        float(every["unexplained"].where(difficulty == level).median())
        for level in summary[dims.DIFFICULTY].values
    ]
    summary["unexplained_by_difficulty"] = dims.DIFFICULTY, of_level
    return summary


def _shares(data: xr.Dataset) -> xr.DataArray:
    """Return what each pass is worth, all its heads together, as a share of the answer."""
    heads = [dim for dim in (dims.LAYER, dims.GDN_HEAD) if dim in data["attribution"].dims]
    return data["attribution"].sum(heads) / data["worth"]


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return which pass an answer is owed to, what is divided, and what stays unexplained."""
    share, levels = _shares(data), by_level(data)
    rows: Rows = [["share of the answer's logit difference", *levels]]
    for title, at in by_pass(data, first=1).items():
        values = [float(share.sel({**at, **level})) for level in levels.values()]
        rows.append([title.replace("after", "owed to"), *map(number, values)])
    worth = [cell(data.sel(level), "worth") for level in levels.values()]
    rows.append(["logit difference, nats", *worth])
    if "unexplained_by_difficulty" in data:  # older measurements have it pooled alone
        missed = [data["unexplained_by_difficulty"].sel(at) for at in levels.values()]
        rows.append(["unexplained, median", *(number(float(value)) for value in missed)])
    return {"owed to each pass": rows}


def concludes(data: xr.Dataset) -> str:
    """Return the largest share of each difficulty, and the pass that it is owed to."""
    share = _shares(data).dropna(dims.SLEEP_PASS, how="all")
    parts = []
    for level, at in by_level(data).items():
        one = share.sel(at)
        best = int(one.argmax(dims.SLEEP_PASS))
        parts.append(
            f"{level} mostly to pass {int(one[dims.SLEEP_PASS].values[best])} "
            f"({number(float(one[best]))})"
        )
    return f"Shares of the logit difference: {', '.join(parts)}."


ATTRIBUTION = Measurement(
    asks="Which pass is an answer owed to?",
    concludes=concludes,
    title="Which pass an answer is owed to",
    order=70,
    says=(
        "How an answer's logit difference is divided among what the passes changed in S, held "
        "as it was. Unexplained is how badly the parts predict what taking out random halves of "
        "the changes does: 0 is perfect, 1 is no better than nothing. Methods may disagree: then "
        "believe neither."
    ),
    settings=AttributionSettings,
    run=run,
    tables=tables,
    words={
        "attribution": "Dividing one answer's score among what it may be owed to.",
        "baseline": (
            "What something is compared with: for an attribution what each part is exchanged for, "
            "for a probe what can be told from the text itself, from untrained weights, or from a "
            "frozen replay."
        ),
        "completeness": "Whether attributions add up to what they divide.",
        "infidelity": (
            "How far attributions are from what happens when random parts are set to the "
            "baseline; zero is best."
        ),
    },
)
