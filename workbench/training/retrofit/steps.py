"""Training a pretrained model to sleep: what a run with a section ``[retrofit]`` does differently.

Source: arXiv 2605.26099 (retrofits of pretrained models); distillation as in arXiv 2605.20670.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.backbones.additions import base_sha256, retrofitted
from workbench.backbones.backbone import Backbone, layer_config
from workbench.backbones.loading import configuration_of, load_pretrained
from workbench.backbones.sources import find_source
from workbench.batch import Batch
from workbench.config import ATTENTION, Experiment, SleepConfig, build
from workbench.errors import WorkbenchError
from workbench.retrofit_config import RetrofitConfig
from workbench.sleep import Event, Wake, read
from workbench.tasks.base import Task
from workbench.training.loss import masked_cross_entropy
from workbench.training.run_files import ORIGIN, read_origin
from workbench.training.start import Start


def with_base(experiment: Experiment, task: Task) -> Experiment:
    """Return an experiment whose ``model`` describes its base with the new layers.

    Raises WorkbenchError: the task has symbols that the base does not know, a block does not exist,
    or the loop does not fit.
    """
    retrofit = _settings(experiment)
    config = configuration_of(find_source(retrofit.base))
    if len(task.vocabulary) > config.vocab_size:
        raise WorkbenchError(
            f"{task.name} with {len(task.vocabulary):,} symbols",
            f"at most {config.vocab_size:,}, those of {retrofit.base}",
            f"set task.tokenizer = {json.dumps(retrofit.base)}",
        )
    if task.vocabulary and getattr(task.config, "tokenizer", None) in (None, "words", "characters"):
        raise WorkbenchError(
            f"{task.name} without a tokenizer, so that its symbols mean nothing to {retrofit.base}",
            "text in the tokens of the base",
            f"set task.tokenizer = {json.dumps(retrofit.base)}, in a task that has one",
        )
    depth = config.num_hidden_layers
    if strange := [i for i in (*retrofit.after, *retrofit.replace) if i >= depth]:
        raise WorkbenchError(
            f"a layer for block {strange[0]}", f"blocks from 0 to {depth - 1}", "name one of those"
        )
    layers: list[str] = []
    for i in range(depth):
        layers.append(retrofit.insert if i in retrofit.replace else ATTENTION)
        layers += [retrofit.insert] if i in retrofit.after else []
    ours = layer_config(config, retrofit.insert, heads=retrofit.heads, dim=retrofit.dim)
    model = ours.model_dump() | {
        "layers": layers,
        "mlp_width": config.intermediate_size,
        "fast_weights_start": retrofit.start,
    }
    return build(Experiment, experiment.model_dump() | {"model": model}, source=retrofit.base)


def _settings(experiment: Experiment) -> RetrofitConfig:
    assert experiment.retrofit is not None
    return experiment.retrofit


def first_model(experiment: Experiment) -> tuple[Backbone, Backbone | None, Start]:
    """Return the model as training begins, the frozen base to learn from, and its origin.

    The base is None where no loss compares with it. What is frozen has the dtype of training.
    """
    retrofit, training = _settings(experiment), experiment.training
    dtype = "float32" if retrofit.train == "all" else training.dtype
    loaded = load_pretrained(retrofit.base, device=training.device, dtype=dtype)
    origin = {"name": retrofit.base, "weights_sha256": base_sha256(loaded.source)}
    origin |= {"licence": loaded.source.licence or "unknown"}
    base = loaded.model.base
    teacher = None
    if retrofit.kl or retrofit.distil:
        # training changes neither, or only what the copy does not have
        own = base if retrofit.train == "inserted" else copy.deepcopy(base)
        teacher = Backbone(own).eval()
    model = retrofitted(base, retrofit, seed=training.seed)
    # no dropout that a base may have: a resumed run could not repeat its draws
    return model.eval(), teacher, Start({}, origin)


def check_same_base(folder: Path, start: Start) -> None:
    """Raise WorkbenchError if a run in `folder` began with another base than the one at hand."""
    for before in read_origin(folder / ORIGIN)[:1]:
        recorded = before.get("started_from", {}).get("weights_sha256")
        if recorded != start.origin["weights_sha256"]:
            raise WorkbenchError(
                f"{start.origin['name']} is not the base that the run in {folder} began with",
                f"SHA-256 {str(recorded)[:12]}...",
                "fetch that base again, or name another folder with --out",
            )


def sleep_at(experiment: Experiment, step: int) -> SleepConfig:
    """Return how the model sleeps at a step (0-based): hard eviction first, if settings say so."""
    sleep, retrofit = experiment.sleep, experiment.retrofit
    if retrofit is not None and step < retrofit.hard_steps:
        return sleep.model_copy(update={"eviction": "hard"})
    return sleep


def retrofit_loss(
    model: Backbone,
    teacher: Backbone | None,
    batch: Batch,
    sleep: SleepConfig,
    retrofit: RetrofitConfig,
    draws: np.random.Generator,
) -> Tensor:
    """Return the loss of a batch: cross-entropy and KL in nats per token, and distillation."""
    events: Iterable[Event] = read(model, batch, sleep, generator=draws)
    divergences: list[tuple[Tensor, Tensor]] = []
    if retrofit.kl and teacher is not None:
        events = _compared(events, _in_view(teacher, batch), divergences)
    loss = masked_cross_entropy(events)
    if divergences:
        apart, tokens = (torch.stack(each).sum() for each in zip(*divergences, strict=True))
        loss = loss + retrofit.kl * apart / tokens  # the tokens that the cross-entropy counts
    if retrofit.distil and teacher is not None:
        loss = loss + retrofit.distil * distillation(model, teacher, batch)
    return loss


@torch.no_grad()
def _in_view(teacher: Backbone, batch: Batch) -> Tensor:
    """Return the base's logits ``[batch, token, symbol]`` with the whole text in view."""
    if batch.isolated:
        raise WorkbenchError(
            "retrofit.kl with queries that are read alone",
            "a text that the base can read at once",
            "set retrofit.kl = 0, or choose another task",
        )
    hidden, _ = _read_at_once(teacher, batch)
    return teacher.logits(hidden)


def _read_at_once(teacher: Backbone, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Return the base's features of a batch in one window, and which tokens are real."""
    tokens = torch.as_tensor(batch.tokens, device=teacher.device)
    valid = None if batch.valid.all() else torch.as_tensor(batch.valid, device=teacher.device)
    memory = teacher.empty_memory(len(batch))
    hidden, _ = teacher.blocks(teacher.embed(tokens), memory, valid=valid, keep_kv=False)
    assert hidden is not None
    return hidden, valid


def _compared(
    events: Iterable[Event], wanted: Tensor, divergences: list[tuple[Tensor, Tensor]]
) -> Iterator[Event]:
    """Pass events on; note each wake window's sum of KL(base || model), and its predictions."""
    for event in events:
        if isinstance(event, Wake):
            part = slice(event.window.start, event.window.stop - 1)
            theirs = torch.log_softmax(wanted[:, part].float(), dim=-1)
            ours = torch.log_softmax(event.logits[:, :-1].float(), dim=-1)
            each = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)
            predicted = event.window.loss_mask[:, 1:]
            divergences.append(((each * predicted).sum(), predicted.sum()))
        yield event


def distillation(model: Backbone, teacher: Backbone, batch: Batch) -> Tensor:
    """Return how far each replacing layer is from the attention that it replaces.

    The mean squared difference of their outputs on the base's own features of the whole text, in
    units of the attention's mean square, averaged over layers.
    """
    seen: dict[int, list[Tensor]] = {int(i): [] for i in model.replaced}
    hooks = []
    for i, found in seen.items():
        block = teacher.base.model.layers[i]
        hooks.append(block.register_forward_pre_hook(lambda _, given, f=found: f.append(given[0])))
        hooks.append(
            block.self_attn.register_forward_hook(lambda _, __, out, f=found: f.append(out[0]))
        )
    try:
        with torch.no_grad():
            _, valid = _read_at_once(teacher, batch)
    finally:
        for hook in hooks:
            hook.remove()
    memory, losses = model.empty_memory(len(batch)), []
    real = torch.ones(batch.tokens.shape, device=model.device) if valid is None else valid.float()
    for i, (entering, wanted) in seen.items():
        layer: Any = model.replaced[str(i)]
        state = memory.fast_weights[model.stack.index(layer)]
        mixed = layer.mixer(layer.normed(entering), state, None, valid, True).output
        difference = (mixed.float() - wanted.float()).square().mean(-1)
        size = wanted.float().square().mean(-1)
        losses.append((difference * real).sum() / (size * real).sum())
    return torch.stack(losses).mean()


def in_one_window(batch: Batch) -> Batch:
    """Return a batch that can be read at once; a query that is read alone follows its context.

    Examples become ``[example, query]``, one query each.
    """
    if not batch.isolated:
        return batch
    queries = batch.difficulty.shape[1]
    each = [replace(batch.query(i), isolated=0) for i in range(queries)]
    order = np.arange(len(batch) * queries).reshape(queries, len(batch)).T.ravel()
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in each])[order]
        for name in ("tokens", "loss_mask", "valid", "answer_of", "difficulty")
    }
    return Batch(**arrays)
