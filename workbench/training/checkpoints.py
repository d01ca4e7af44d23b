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
from workbench.backbones.sources import is_pretrained
from workbench.config import Experiment, ModelConfig, SleepConfig, load_experiment, to_toml
from workbench.errors import WorkbenchError, one_line
from workbench.files import file_sha256, folder_aside, read_json, stamp, write_json, write_text
from workbench.limits import refuse_beyond_memory
from workbench.model import HybridModel
from workbench.tasks import task as make_task
from workbench.tasks.base import Task
from workbench.training.card import render_card
from workbench.training.fitting import check_fits, expected_weights
from workbench.training.places import CARD, CONFIG, PROVENANCE, WEIGHTS, find_checkpoint
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
        return tuple(str(self.provenance["hashes"].get(name)) for name in (WEIGHTS, CONFIG))

    @cached_property
    def task(self) -> Task:
        """The task it was trained on."""
        return make_task(self.experiment.task)


def save_checkpoint(
    folder: Path, name: str, model: HybridModel, experiment: Experiment, provenance: dict[str, Any]
) -> None:
    """Write a checkpoint folder, aside first, hashes and card included."""
    from safetensors.torch import save_file

    weights = {n: t.detach().cpu().contiguous() for n, t in model.state_dict().items()}
    expected = expected_weights(experiment.model)
    check_fits(expected, weights, folder / WEIGHTS, fix="convert the model, or train it again")
    with folder_aside(folder) as aside:
        save_file(weights, aside / WEIGHTS, metadata={"format": FORMAT})
        write_text(aside / CONFIG, to_toml(experiment))
        hashes = {name: file_sha256(aside / name) for name in (WEIGHTS, CONFIG)}
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
    for name in (WEIGHTS, CONFIG):
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
    from safetensors import SafetensorError, safe_open

    expected = expected_weights(config)
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, ValueError, OverflowError) as error:
        line = one_line(error, 300)
        raise WorkbenchError(
            f"{path} cannot be read ({line})", "a whole safetensors file", "fetch it again"
        ) from None
    check_fits(expected, weights, path, fix=f"use weights and {CONFIG} of one checkpoint")
    return weights


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
