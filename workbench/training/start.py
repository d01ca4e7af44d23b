"""The first weights of a run that starts from a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from workbench.config import Experiment, StartConfig
from workbench.errors import WorkbenchError
from workbench.model import HybridModel
from workbench.tasks.base import Task
from workbench.training.checkpoints import load_checkpoint
from workbench.training.fitting import check_fits
from workbench.training.places import CONFIG, WEIGHTS

BY_SYMBOL = ("embedding.weight", "head.weight")
"""Weights with a row for each symbol."""


@dataclass(frozen=True)
class Start:
    """First weights by name, and which model they come from, as provenance records it."""

    weights: dict[str, Tensor]
    origin: dict[str, Any]


def source_of(experiment: Experiment) -> str | None:
    """Return the name or folder of the model that a run starts from; None for new weights."""
    start, seed = experiment.training.start, experiment.training.seed
    return None if start is None else start.checkpoint.replace("{seed}", str(seed))


def first_weights(experiment: Experiment, task: Task) -> Start | None:
    """Return the weights that a run starts from; None where it starts from new ones.

    A symbol that the trained model knows, by its own name or by ``start.tokens``, takes over its
    rows of embedding and head; any other symbol keeps those of a new model of the same seed.

    Raises WorkbenchError: no such checkpoint, another shape, or an unknown symbol.
    """
    start, named = experiment.training.start, source_of(experiment)
    if start is None or named is None:
        return None
    source = load_checkpoint(named)
    rows = _rows(start, task.vocabulary, source.task.vocabulary)
    new = HybridModel(experiment.model, seed=experiment.training.seed).state_dict()
    old = source.model.state_dict()
    weights = {name: tensor for name, tensor in old.items() if name not in BY_SYMBOL}
    for name in BY_SYMBOL:
        weights[name] = new[name].clone()
        if new[name].shape[1:] == old[name].shape[1:]:
            for row, before in rows.items():
                weights[name][row] = old[name][before]
        else:
            weights[name] = old[name]  # for the error below
    fix = "give [model] the settings of that checkpoint, or start from another"
    check_fits(new, weights, source.folder / WEIGHTS, fix=fix)
    hashes = source.provenance["hashes"]
    origin = {"name": source.name, "weights_sha256": hashes[WEIGHTS]}
    origin |= {"config_sha256": hashes[CONFIG], "symbols": len(rows)}
    return Start(weights, origin)


def _rows(start: StartConfig, new: tuple[str, ...], old: tuple[str, ...]) -> dict[int, int]:
    """Return the rows of a trained model's symbols by the rows of the new task's."""
    places = {symbol: row for row, symbol in enumerate(old)}
    for names, known, whose in (
        (start.tokens, set(new), "the task of this run"),
        (start.tokens.values(), set(old), f"the task of {start.checkpoint}"),
    ):
        if strange := [name for name in names if name not in known]:
            raise WorkbenchError(
                f"training.start.tokens names {strange[0]!r:.60}",
                f"a symbol of {whose}",
                "correct or remove it; `workbench sample` shows the symbols of a task",
            )
    wanted = [start.tokens.get(symbol, symbol) for symbol in new]
    return {row: places[symbol] for row, symbol in enumerate(wanted) if symbol in places}
