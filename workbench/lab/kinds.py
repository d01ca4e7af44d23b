"""What can be measured on a checkpoint, each kind with its settings: what `workbench measure` runs.

A kind draws evaluation examples, runs an instrument on them and returns its summary over examples:
small enough to be kept (`workbench.lab.measured`), and all that pages and findings are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from workbench.batch import Batch
from workbench.config import Frozen, SleepConfig
from workbench.errors import WorkbenchError
from workbench.tasks.base import EVALUATION, draw

if TYPE_CHECKING:  # a page that only shows measurements loads no torch
    import xarray as xr

    from workbench.training.checkpoints import Checkpoint


class Settings(Frozen):
    """What every measurement is told.

    Attributes
    ----------
    examples : int
        Examples of the evaluation stream, drawn apart from those of training.
    seed : int
        Seed of the examples, and of random controls.
    passes : int or None
        N. None is the largest that the model was trained with.
    """

    examples: int = Field(256, ge=2, le=100_000)
    seed: int = Field(0, ge=0, lt=2**32)
    passes: int | None = Field(None, ge=1, le=64)


class MemorySettings(Settings):
    """What passes add to the memory, and what windows leave in it."""


class LensSettings(Settings):
    """Answers if the model woke after each pass."""

    examples: int = Field(1000, ge=2, le=100_000)


class ProbeSettings(Settings):
    """What a linear decoder finds in S.

    Attributes
    ----------
    splits : int
        Seeds: how often the examples are split anew, and control tasks drawn.
    """

    examples: int = Field(2000, ge=50, le=100_000)
    splits: int = Field(5, ge=1, le=100)


class PatchSettings(Settings):
    """What the answers become with another context's memory.

    Attributes
    ----------
    parts : {"whole", "layers", "heads", "passes"}
        What is exchanged: all of S, each layer, each head, or what each pass changed.
    asked : {"all", "first of window", "first"}
        Queries that are measured; later ones see earlier answers.
    """

    examples: int = Field(128, ge=2, le=100_000)
    parts: Literal["whole", "layers", "heads", "passes"] = "whole"
    asked: Literal["all", "first of window", "first"] = "all"


class AblationSettings(Settings):
    """What is lost without a part of the memory.

    Attributes
    ----------
    parts : {"whole", "layers", "heads", "passes"}
        What is erased: all of S, each layer, each head, or what each pass changed.
    """

    examples: int = Field(128, ge=2, le=100_000)
    parts: Literal["whole", "layers", "heads", "passes"] = "heads"


class SteeringSettings(Settings):
    """Whether answers follow where a probe's direction moves the memory.

    Attributes
    ----------
    splits : int
        Seeds of the splits and of the random directions.
    """

    examples: int = Field(1000, ge=50, le=100_000)
    splits: int = Field(5, ge=1, le=100)


class RecoverySettings(Settings):
    """How much of the evicted text a decoder recovers from S.

    Attributes
    ----------
    splits : int
        Seeds: how often the examples are split anew.
    """

    examples: int = Field(2000, ge=50, le=100_000)
    splits: int = Field(5, ge=1, le=100)


class ErasureSettings(RecoverySettings):
    """What a decoder recovers after the memory was overwritten, made fainter, or erased.

    Attributes
    ----------
    others : int
        Other texts slept on afterwards, one after the other.
    """

    others: int = Field(2, ge=0, le=16)


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


@dataclass(frozen=True)
class Report:
    """How a measurement tells how far it is, and learns that it is no longer wanted.

    Attributes
    ----------
    tell : callable
        ``tell(done, total)``, in steps of any kind.
    stop : callable
        Whether to end.
    """

    tell: Callable[[float, float], None] = lambda done, total: None
    stop: Callable[[], bool] = lambda: False

    def counter(self, total: float) -> Callable[[float], None]:
        """Return what an instrument calls with the steps done since its last call."""
        done = 0.0

        def count(steps: float) -> None:
            nonlocal done
            done += steps
            self.tell(done, total)
            if self.stop():
                raise KeyboardInterrupt

        return count

    def of_shares(self) -> dict[str, Any]:
        """Return the options of an instrument that tells its share done and can be stopped."""
        return {"on_progress": lambda share: self.tell(share, 1.0), "stop": self.stop}


@dataclass(frozen=True)
class Kind:
    """One kind of measurement.

    Attributes
    ----------
    name, title : str
        As commands and pages call it.
    settings : type of Settings
        Its settings and their defaults.
    run : callable
        ``run(checkpoint, settings, report) -> Dataset``.
    """

    name: str
    title: str
    settings: type[Settings]
    run: Callable[[Checkpoint, Any, Report], xr.Dataset]


def measure(checkpoint: Checkpoint, kind: str, settings: Settings, report: Report) -> xr.Dataset:
    """Measure, and note on the result what was measured on what.

    Returns
    -------
    Dataset
        As the kind has it; attributes ``kind``, ``checkpoint``, ``task``, ``difficulty_name``,
        ``n_sleep``, ``examples`` and ``seed`` are always there.
    """
    result = kind_of(kind).run(checkpoint, settings, report)
    return result.assign_attrs(
        kind=kind,
        checkpoint=checkpoint.name,
        task=checkpoint.task.name,
        difficulty_name=checkpoint.task.difficulty_name,
        n_sleep=sleep_of(checkpoint, settings).passes,
        examples=settings.examples,
        seed=settings.seed,
    )


def kind_of(name: str) -> Kind:
    """Return a kind by its name.

    Raises
    ------
    WorkbenchError
        There is none of that name.
    """
    if name not in KINDS:
        raise WorkbenchError(
            f"nothing to measure called {name!r}", f"one of {', '.join(KINDS)}", "check the name"
        )
    return KINDS[name]


def sleep_of(checkpoint: Checkpoint, settings: Settings) -> SleepConfig:
    """Return how the model sleeps in a measurement."""
    from workbench.training.evaluation import default_passes

    return checkpoint.sleep.with_passes(settings.passes or default_passes(checkpoint.sleep)[-1])


def examples_of(checkpoint: Checkpoint, settings: Settings, *, step: int = 0) -> Batch:
    """Return the evaluation examples of a measurement; another `step`, other examples."""
    return draw(checkpoint.task, settings.examples, settings.seed, step, EVALUATION)


def _complete(result: xr.Dataset) -> xr.Dataset:
    """Return a result that was not stopped; nothing of another is kept."""
    if not result.attrs["complete"]:
        raise KeyboardInterrupt
    return result


def _memory(checkpoint: Checkpoint, settings: MemorySettings, report: Report) -> xr.Dataset:
    from workbench.instruments.summary import memory_summary
    from workbench.trace import record

    count = report.counter(settings.examples)
    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    return memory_summary(record(checkpoint.model, batch, sleep, on_progress=count))


def _lens(checkpoint: Checkpoint, settings: LensSettings, report: Report) -> xr.Dataset:
    from workbench.instruments.boundaries import known_passes
    from workbench.instruments.features import slept_on
    from workbench.instruments.lens import lens, lens_by_difficulty

    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    places = len(slept_on(batch, sleep)) * (known_passes(sleep) + 1)
    scores = lens(checkpoint.model, batch, sleep, on_progress=report.counter(places))
    return lens_by_difficulty(scores, checkpoint.task)


def _probes(checkpoint: Checkpoint, settings: ProbeSettings, report: Report) -> xr.Dataset:
    from workbench.instruments.probes import probe

    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    result = probe(
        checkpoint.model,
        batch,
        sleep,
        checkpoint.task.probe_targets(batch),
        seeds=range(settings.splits),
        **report.of_shares(),
    )
    return _complete(result)


def _patches(checkpoint: Checkpoint, settings: PatchSettings, report: Report) -> xr.Dataset:
    from workbench.instruments.context_swaps import fitting
    from workbench.instruments.effects import patches_by_difficulty
    from workbench.instruments.interventions import patch_effects

    sleep = sleep_of(checkpoint, settings)
    recipient, donor = (examples_of(checkpoint, settings, step=step) for step in (0, 1))
    fits = fitting(checkpoint.task, recipient, donor)
    recipient, donor = recipient.examples(fits), donor.examples(fits)
    parts, places = _parts(checkpoint, recipient, sleep, settings.parts)
    total = 2 * 3 * len(parts) * places
    effects = patch_effects(
        checkpoint.model,
        checkpoint.task,
        recipient,
        donor,
        sleep,
        components=parts,
        asked=settings.asked,
        seed=settings.seed,
        on_progress=report.counter(total),
    )
    return patches_by_difficulty(effects).assign_attrs(pairs=int(fits.sum()))


def _ablations(checkpoint: Checkpoint, settings: AblationSettings, report: Report) -> xr.Dataset:
    from workbench.instruments.effects import ablations_by_difficulty
    from workbench.instruments.interventions import MEAN, ZERO, ablation_effects

    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    parts, places = _parts(checkpoint, batch, sleep, settings.parts)
    methods = (ZERO, MEAN, 0.5)
    effects = ablation_effects(
        checkpoint.model,
        batch,
        sleep,
        components=parts,
        methods=methods,
        seed=settings.seed,
        on_progress=report.counter(2 * len(methods) * len(parts) * places),
    )
    return ablations_by_difficulty(effects, checkpoint.task)


def _steering(checkpoint: Checkpoint, settings: SteeringSettings, report: Report) -> xr.Dataset:
    from workbench.instruments.boundaries import known_passes
    from workbench.instruments.steering import steer, steering_by_difficulty

    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    effects = steer(
        checkpoint.model,
        batch,
        sleep,
        checkpoint.task.probe_targets(batch),
        passes=range(1, known_passes(sleep) + 1),
        seeds=range(settings.splits),
        **report.of_shares(),
    )
    return steering_by_difficulty(_complete(effects))


def _recovery(checkpoint: Checkpoint, settings: RecoverySettings, report: Report) -> xr.Dataset:
    from workbench.instruments.privacy import recovery

    result = recovery(
        checkpoint.model,
        examples_of(checkpoint, settings),
        sleep_of(checkpoint, settings),
        symbols=checkpoint.task.vocabulary,
        seeds=range(settings.splits),
        **report.of_shares(),
    )
    return _complete(result)


def _erasure(checkpoint: Checkpoint, settings: ErasureSettings, report: Report) -> xr.Dataset:
    import xarray as xr

    from workbench import dims
    from workbench.instruments.clustered import by_difficulty, share
    from workbench.instruments.privacy import answers_after, recovery_after

    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    others = [examples_of(checkpoint, settings, step=i + 1) for i in range(settings.others)]
    answers = answers_after(checkpoint.model, batch, sleep, others=others)
    accuracy = by_difficulty(
        share,
        "accuracy",
        answers,
        xr.ones_like(answers),
        difficulty=xr.DataArray(batch.difficulty, dims=(dims.EXAMPLE, dims.QUERY)),
    )
    texts, facts = recovery_after(
        checkpoint.model,
        batch,
        sleep,
        others=others,
        facts=checkpoint.task.probe_targets(batch),
        symbols=checkpoint.task.vocabulary,
        seeds=range(settings.splits),
        # the facts are told from the same states, after the texts
        on_progress=lambda share: report.tell(share, 2.0),
        stop=report.stop,
    )
    assert facts is not None  # targets were given
    names = {str(name): f"fact_{name}" for name in facts.data_vars}
    both = [_complete(texts), _complete(facts).rename(names)]
    return xr.merge([*both, accuracy], combine_attrs="override")


def _attribution(
    checkpoint: Checkpoint, settings: AttributionSettings, report: Report
) -> xr.Dataset:
    import numpy as np
    import xarray as xr

    from workbench import dims
    from workbench.instruments.attribution import attribute_passes
    from workbench.instruments.attribution_answer import SUBJECTS
    from workbench.instruments.clustered import by_difficulty, mean
    from workbench.instruments.features import slept_on

    batch, sleep = examples_of(checkpoint, settings), sleep_of(checkpoint, settings)
    window, queries = slept_on(batch, sleep)[-1], batch.difficulty.shape[1]
    count = report.counter(queries)
    found = []
    for query in range(queries):
        found.append(
            attribute_passes(
                checkpoint.model,
                batch,
                sleep,
                query=query,
                window=window,
                by=SUBJECTS[settings.parts].by,
                method=settings.method,
                steps=settings.steps,
                samples=settings.samples,
                seed=settings.seed,
            )
        )
        count(1)
    along = xr.IndexVariable(dims.QUERY, np.arange(queries))
    every = xr.concat(found, along, join="exact", combine_attrs="override")
    difficulty = xr.DataArray(batch.difficulty, dims=(dims.EXAMPLE, dims.QUERY))
    asked = xr.ones_like(every["logit_diff"], dtype=bool)
    worth = every["logit_diff"] - every["logit_diff_at_baseline"]
    summary = xr.merge(
        [
            by_difficulty(mean, "attribution", every["attribution"], asked, difficulty=difficulty),
            by_difficulty(mean, "worth", worth, asked, difficulty=difficulty),
        ]
    )
    summary["completeness_error"] = every["completeness_error"].quantile(
        [0.5, 1.0], (dims.EXAMPLE, dims.QUERY)
    )
    summary["unexplained"] = every["unexplained"].median()
    of_level = [
        float(every["unexplained"].where(difficulty == level).median())
        for level in summary[dims.DIFFICULTY].values
    ]
    summary["unexplained_by_difficulty"] = dims.DIFFICULTY, of_level
    return summary.assign_attrs({**every.attrs, "window": window, "interval": "95 %"})


def _parts(
    checkpoint: Checkpoint, batch: Batch, sleep: SleepConfig, parts: str
) -> tuple[list[Any], int]:
    """Return the parts of S that a setting names, and how many places they are changed at."""
    from workbench.instruments import components
    from workbench.instruments.boundaries import known_passes
    from workbench.instruments.features import slept_on
    from workbench.instruments.interventions import PassChange

    windows, passes = slept_on(batch, sleep), known_passes(sleep)
    state = checkpoint.model.empty_memory(1).fast_weights
    places = len(windows) * (passes + 1)
    found: dict[str, list[Any]] = {
        "whole": [components.whole()],
        "layers": [components.layer(layer) for layer in state],
        "heads": [components.head(i, h) for i, s in state.items() for h in range(s.shape[1])],
        "passes": [PassChange(w, n) for w in windows for n in range(1, passes + 1)],
    }
    return found[parts], places


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("memory", "What passes add to the memory", MemorySettings, _memory),
        Kind("lens", "Answers if it woke after each pass", LensSettings, _lens),
        Kind("probes", "What a linear probe finds in the memory", ProbeSettings, _probes),
        Kind("steering", "Answers when a probe's direction is moved", SteeringSettings, _steering),
        Kind("patches", "Answers with another context's memory", PatchSettings, _patches),
        Kind("ablations", "Answers without a part of the memory", AblationSettings, _ablations),
        Kind("attribution", "Which pass an answer is owed to", AttributionSettings, _attribution),
        Kind("recovery", "How much of the text a decoder recovers", RecoverySettings, _recovery),
        Kind("erasure", "What is recovered after erasing", ErasureSettings, _erasure),
    )
}
"""Every kind of measurement by its name."""
