"""Checkpoint folders: ``model.safetensors``, ``config.toml``, ``card.md``, ``provenance.json``.

Never pickle. A bundled name, a folder and a Hub id (``hf://owner/name``, which alone uses the
network) load the same way.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import sleep_kernels
from workbench.backbones.additions import added, check_base, retrofitted
from workbench.backbones.backbone import Backbone
from workbench.backbones.sources import Source, find_source, is_pretrained
from workbench.backbones.text import Text
from workbench.config import Experiment, ModelConfig, SleepConfig, load_experiment, to_toml
from workbench.errors import WorkbenchError, one_line
from workbench.files import file_sha256, folder_aside, read_json, stamp, write_json, write_text
from workbench.limits import refuse_beyond_memory
from workbench.model import HybridModel
from workbench.tasks import task as make_task
from workbench.tasks.base import Task
from workbench.training.card import render_card
from workbench.training.fitting import check_fits, expected_weights
from workbench.training.places import (
    ADDITIONS,
    CARD,
    CONFIG,
    PROVENANCE,
    WEIGHTS,
    find_checkpoint,
    weights_in,
)
from workbench.training.run_files import CheckpointProvenance, checked

if TYPE_CHECKING:
    from workbench.backbones.loading import Pretrained

FORMAT = "sleep-checkpoint/1"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, in evaluation mode, with all that is known about it.

    `name`: the bundled name, or the name of the run that made it. `folder`: where it was loaded
    from. `experiment`: the configuration it was trained with. `provenance`: command, seed, commit,
    versions, budget, metrics and hashes.
    """

    name: str
    folder: Path
    model: HybridModel
    experiment: Experiment
    provenance: dict[str, Any]

    @property
    def sleep(self) -> SleepConfig:
        """How it slept in training."""
        return self.experiment.sleep

    @property
    def identity(self) -> tuple[str, ...]:
        """SHA-256 of weights and configuration: what results of this very model are kept under."""
        names = weights_in(self.folder), CONFIG
        return tuple(str(self.provenance["hashes"].get(name)) for name in names)

    @cached_property
    def task(self) -> Task:
        """The task it was trained on."""
        return make_task(self.experiment.task)


@dataclass(frozen=True)
class Retrofitted(Checkpoint):
    """A pretrained model with what a retrofit added, its tokenizer, and where the base is from."""

    model: Backbone  # type: ignore[assignment]
    text: Text
    source: Source


def save_checkpoint(
    folder: Path, name: str, model: Any, experiment: Experiment, provenance: dict[str, Any]
) -> None:
    """Write a checkpoint folder, aside first, hashes and card included.

    Of a retrofit (a `Backbone`) only what was added is written.
    """
    from safetensors.torch import save_file

    file, found = WEIGHTS, model.state_dict()
    if experiment.retrofit is not None:
        file, found = ADDITIONS, added(model, experiment.retrofit)
    weights = {n: t.detach().cpu().contiguous() for n, t in found.items()}
    if experiment.retrofit is None:
        expected = expected_weights(experiment.model)
        check_fits(expected, weights, folder / file, fix="convert the model, or train it again")
    with folder_aside(folder) as aside:
        save_file(weights, aside / file, metadata={"format": FORMAT})
        write_text(aside / CONFIG, to_toml(experiment))
        hashes = {name: file_sha256(aside / name) for name in (file, CONFIG)}
        record = {"format": FORMAT, "name": name, **provenance, "hashes": hashes}
        write_json(aside / PROVENANCE, record)
        write_text(aside / CARD, render_card(record, experiment))


def load(
    name_or_folder: str | Path, *, device: str = "cpu", dtype: str = "float32"
) -> Checkpoint | Pretrained:
    """Load a checkpoint of the workbench, or a pretrained model of transformers.

    Checkpoints: a bundled name, a folder, ``hf://owner/name``; `load_checkpoint` says more.
    Pretrained models: a folder with ``config.json``, a GGUF file, a name that `workbench get`
    fetches, ``hf://owner/name``; `load_pretrained` says more. `dtype` is theirs alone.
    """
    check_device(device)
    if is_pretrained(name_or_folder):
        from workbench.backbones.loading import load_pretrained

        return load_pretrained(name_or_folder, device=device, dtype=dtype)
    if dtype != "float32":
        raise WorkbenchError(
            f"dtype = {dtype!r} for a checkpoint", "'float32', as it was saved", "leave it out"
        )
    return load_checkpoint(name_or_folder, device=device)


def load_checkpoint(name_or_folder: str | Path, *, device: str = "cpu") -> Checkpoint:
    """Load a bundled checkpoint by name, a folder, or ``hf://owner/name``.

    Kernels are a matter of speed and not of what was learnt: where those that the configuration
    names cannot serve, "auto" does, and a warning says so.

    Raises WorkbenchError: there is no such checkpoint; a file is missing, truncated or changed; or
    the weights do not fit the configuration, are of another dtype, or are not finite.
    """
    folder = find_checkpoint(name_or_folder)
    provenance = read_provenance(folder)
    _check_hashes(folder, provenance)
    experiment = load_experiment(folder / CONFIG)
    if experiment.retrofit is not None:
        return _load_retrofit(folder, provenance, experiment, device)
    weights = _read_weights(folder / WEIGHTS, experiment.model)
    model = HybridModel(_with_kernels_of(experiment.model, device))
    model.load_state_dict(weights)
    return Checkpoint(
        provenance["name"],
        folder,
        model.to(device).eval().requires_grad_(False),
        experiment,
        provenance,
    )


def _load_retrofit(
    folder: Path, provenance: dict[str, Any], experiment: Experiment, device: str
) -> Retrofitted:
    """Load the base of a retrofit, in the dtype of training, and what was added to it."""
    from workbench.backbones.loading import load_pretrained

    retrofit = experiment.retrofit
    assert retrofit is not None
    origin = provenance.get("started_from")
    sha256 = origin.get("weights_sha256") if isinstance(origin, dict) else None
    check_base(find_source(retrofit.base), sha256, folder)
    dtype = "float32" if retrofit.train == "all" else experiment.training.dtype
    loaded = load_pretrained(retrofit.base, device=device, dtype=dtype)
    model = retrofitted(loaded.model.base, retrofit, seed=experiment.training.seed)
    tensors = _tensors_in(folder / ADDITIONS)
    fix = "use additions and configuration of one retrofit"
    check_fits(added(model, retrofit), tensors, folder / ADDITIONS, fix=fix)
    model.load_state_dict(tensors, strict=False)
    model = model.to(device).eval().requires_grad_(False)
    name = provenance["name"]
    return Retrofitted(name, folder, model, experiment, provenance, loaded.text, loaded.source)


def _with_kernels_of(config: ModelConfig, device: str) -> ModelConfig:
    """Return the configuration with kernels that serve on `device`."""
    try:
        check_backend(config.kernel_backend, device)
    except WorkbenchError as error:
        if config.kernel_backend not in sleep_kernels.BACKENDS:
            raise
        warnings.warn(f"the checkpoint's {error.given}: 'auto' serves instead", stacklevel=3)
        return config.model_copy(update={"kernel_backend": "auto"})
    return config


def check_device(device: str) -> None:
    """Raise WorkbenchError unless torch knows `device` and this machine has it."""
    try:
        known = torch.device(device)
    except RuntimeError:
        known = torch.device("meta")
    here = known.type == "cuda" and (known.index or 0) < torch.cuda.device_count()
    if known.type != "cpu" and not here:
        raise WorkbenchError(f"device {device!r}", "a device of this machine", "use device cpu")


def check_backend(backend: str, device: str) -> None:
    """Raise WorkbenchError, which says why, unless kernel backend `backend` serves on `device`."""
    try:
        sleep_kernels.choose_backend(backend, torch.device(device))
    except (ValueError, RuntimeError) as error:
        raise WorkbenchError(
            f"model.kernel_backend = {backend!r} on {device} ({error})",
            "a backend that serves here",
            "use model.kernel_backend = 'auto'",
        ) from None


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's provenance."""
    path = folder / PROVENANCE
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise WorkbenchError(f"{path} has format {found!r}", FORMAT, "name a checkpoint")
    checked(CheckpointProvenance, record, str(path))
    return record


def _check_hashes(folder: Path, provenance: dict[str, Any]) -> None:
    for name in (weights_in(folder), CONFIG):
        expected = provenance.get("hashes", {}).get(name)
        size = stamp(folder / name).size  # the tensors of a file take no more than the file
        refuse_beyond_memory(2 * size, f"what {folder / name} holds", "use a smaller model")
        if file_sha256(folder / name) != expected:
            raise WorkbenchError(
                f"{folder / name} is not the file that was saved (its SHA-256 differs)",
                f"{expected}, as {PROVENANCE} says",
                "it is truncated or was edited: fetch or train the checkpoint again",
            )


def _read_weights(path: Path, config: ModelConfig) -> dict[str, torch.Tensor]:
    """Read the weights of a configured model."""
    weights = _tensors_in(path)
    check_fits(
        expected_weights(config), weights, path, fix=f"use weights and {CONFIG} of one checkpoint"
    )
    return weights


def _tensors_in(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of weights, whose hash has been checked."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, ValueError, OverflowError) as error:
        line = one_line(error, 300)
        raise WorkbenchError(
            f"{path} cannot be read ({line})", "a whole safetensors file", "fetch it again"
        ) from None


def bundle_checkpoint(
    run: Path, name: str, folder: Path, *, command: str, metrics: dict[str, Any]
) -> None:
    """Copy a finished run's checkpoint to `folder` under another name; weights unchanged.

    `command`: makes the run again from a checkout; it replaces the recorded one, whose paths mean
    nothing elsewhere. `metrics`: accuracy for the provenance and the card.
    """
    checkpoint = load_checkpoint(run)
    kept = {k: v for k, v in checkpoint.provenance.items() if k not in ("format", "name", "hashes")}
    kept |= {"command": command, "metrics": metrics}
    save_checkpoint(folder, name, checkpoint.model, checkpoint.experiment, kept)
