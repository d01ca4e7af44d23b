"""What a retrofit adds to a pretrained model: new layers, adapters, or all weights it changed.

A retrofit's folder holds these alone, in ``additions.safetensors``, with the SHA-256 of the base
that they belong to; `workbench.load` opens both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from workbench.backbones.backbone import Backbone, insert
from workbench.backbones.sources import CONFIG, Source, needs_extra, shards_of
from workbench.errors import WorkbenchError
from workbench.files import file_sha256
from workbench.model.fast_weights import FastWeights
from workbench.retrofit_config import RetrofitConfig

ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
"""Projections of the base that LoRA adapts."""


def retrofitted(base: Any, retrofit: RetrofitConfig, *, seed: int) -> Backbone:
    """Return a causal language model of transformers with its new layers, as training begins.

    Only what learns requires gradients. Raises WorkbenchError: a block does not exist.
    """
    base.requires_grad_(False)
    if retrofit.train == "lora":
        _adapt(base, retrofit.lora_rank, seed)
    model = insert(
        base,
        retrofit.insert,
        retrofit.after,
        replace=retrofit.replace,
        heads=retrofit.heads,
        dim=retrofit.dim,
        seed=seed,
        start=retrofit.start,
    )
    names = set(added(model, retrofit))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    return model


def added(model: Backbone, retrofit: RetrofitConfig) -> dict[str, Tensor]:
    """Return what a retrofit's folder holds of a model, by name."""
    parts = {"inserted", "replaced"}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if retrofit.train == "all" or name.split(".")[0] in parts or ".lora_" in name
    }


def base_sha256(source: Source) -> str:
    """Return the SHA-256 of a base: of its GGUF file, or of its configuration and shards."""
    if source.file is not None:
        return file_sha256(source.folder / source.file)
    names = (CONFIG, *shards_of(source.folder))
    lines = (f"{name} {file_sha256(source.folder / name)}\n" for name in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_base(source: Source, sha256: object, folder: Path) -> None:
    """Raise WorkbenchError unless a base is the one that a retrofit in `folder` was made with."""
    if (found := base_sha256(source)) != sha256:
        raise WorkbenchError(
            f"{source.named} is not the base of {folder} (its SHA-256 is {found[:12]}...)",
            f"{str(sha256)[:12]}..., as its provenance says",
            "fetch that base again, or retrofit this one",
        )


def _adapt(base: Any, rank: int, seed: int) -> None:
    """Put LoRA adapters around the projections of the base's attention."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise needs_extra("train = 'lora' without the package peft") from None
    # our fast-weight layers read weights, which an adapter does not change
    ours = [name for name, part in base.named_modules() if isinstance(part, FastWeights)]
    others = [f"{name}.{projection}" for name in ours for projection in ATTENTION] or None
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=list(ATTENTION), exclude_modules=others
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, base)
    for name, parameter in base.named_parameters():
        if ".lora_" in name:  # an optimiser's steps would be lost in bfloat16
            parameter.data = parameter.data.float()
