"""Muon on the body's matrices, AdamW on all else; their state as plain tensors.

Source: paper section on training settings (Muon + AdamW, gradient clip 1.0); Muon is
that of `torch.optim.Muon` (Jordan et al.), whose weight decay is set explicitly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.config import TrainingConfig
from workbench.training.muon import PRECISIONS, AdamW, Muon, quickest_precision

PRECISION = "muon.precision"
"""Name of the tensor whose dtype is that of Muon's products: a run keeps what it began with."""

NOT_BODY = ("embedding", "head", "conv", "embed_tokens", "lm_head", "lora_A", "lora_B")
"""Name parts of parameters that are matrices but no projection of the body."""

STATE = {"muon": ("momentum_buffer",), "adamw": ("step", "exp_avg", "exp_avg_sq")}
"""What each optimiser remembers of a parameter: one number, or as many as it has."""


@dataclass(frozen=True)
class Optimisers:
    """The two optimisers of one model and the rates they were configured with."""

    muon: Muon
    adamw: torch.optim.Optimizer
    config: TrainingConfig
    parameters: tuple[nn.Parameter, ...]

    def step(self, step: int) -> float:
        """Clip, set the rates of `step` (0-based), update, and drop the gradients.

        Returns the gradient norm before clipping. Raises FloatingPointError: it is not finite; the
        weights were not touched.
        """
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        value = float(norm)
        if not math.isfinite(value):
            raise FloatingPointError(f"the gradient norm is {value} at step {step + 1}")
        scale = learning_rate_scale(step, self.config)
        for optimiser, rate in (
            (self.muon, self.config.muon_lr),
            (self.adamw, self.config.adamw_lr),
        ):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return value

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of both optimisers under stable names."""
        named = {}
        for label, optimiser in (("muon", self.muon), ("adamw", self.adamw)):
            for index, entry in optimiser.state_dict()["state"].items():
                for name, value in entry.items():
                    named[f"{label}.{index}.{name}"] = torch.as_tensor(value)
        # no number, only its dtype
        named[PRECISION] = torch.zeros((), dtype=PRECISIONS[self.muon.precision])
        return named

    def load(self, named: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned; without a recorded precision, it is bfloat16.

        Raises ValueError: a name, shape or dtype is not that of these optimisers' state, or a value
        is not finite.
        """
        left = dict(named)
        precision = _precision(left.pop(PRECISION, None))
        for label, optimiser in (("muon", self.muon), ("adamw", self.adamw)):
            state: dict[int, dict[str, Tensor]] = {}
            for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
                keys = {name: f"{label}.{index}.{name}" for name in STATE[label]}
                found = {name: left.pop(key) for name, key in keys.items() if key in left}
                for name, value in found.items():
                    shape = () if name == "step" else parameter.shape
                    if value.shape != shape or value.dtype != torch.float32:
                        raise ValueError(f"{keys[name]} {list(value.shape)} {value.dtype}")
                    if not torch.isfinite(value).all():
                        raise ValueError(f"NaN or infinity in {keys[name]}")
                if found and len(found) < len(STATE[label]):
                    raise ValueError(f"only {', '.join(found)} of {label}.{index}")
                if found:
                    state[index] = found
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})
        if left:
            raise ValueError(f"an unknown tensor {next(iter(left))!r:.80}")
        self.muon.precision = precision


def _precision(recorded: Tensor | None) -> str:
    if recorded is None:
        return "bfloat16"
    for name, dtype in PRECISIONS.items():
        if recorded.dtype == dtype and not recorded.shape:
            return name
    raise ValueError(f"{PRECISION} {list(recorded.shape)} {recorded.dtype}")


def is_body(name: str, parameter: Tensor) -> bool:
    """Return whether Muon trains a parameter: a matrix that is a projection of the body."""
    return parameter.ndim == 2 and not any(part in NOT_BODY for part in name.split("."))


def build_optimisers(
    model: nn.Module, config: TrainingConfig, *, capturable: bool = False
) -> Optimisers:
    """Split the parameters of `model` between Muon and AdamW.

    With `capturable`, AdamW keeps its step count and its rate on the device, so that a CUDA graph
    can hold its update.
    """
    body: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    for name, parameter in named:
        (body if is_body(name, parameter) else rest).append(parameter)
    muon = Muon(
        body,
        lr=config.muon_lr,
        weight_decay=config.weight_decay,
        momentum=config.muon_momentum,
        adjust_lr_fn=config.muon_adjust,
    )
    muon.precision = quickest_precision(rest[0].device)
    rate = torch.tensor(config.adamw_lr, device=rest[0].device) if capturable else config.adamw_lr
    adamw = AdamW(
        rest,
        lr=rate,
        betas=config.adamw_betas,
        weight_decay=0.0,
        fused=True,
        capturable=capturable and rest[0].device.type == "cuda",
    )
    return Optimisers(muon, adamw, config, tuple(weight for _, weight in named))


def learning_rate_scale(step: int, config: TrainingConfig) -> float:
    """Return the factor on both rates at `step` (0-based): linear warm-up, then the decay."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.decay == "constant":
        return warm
    length = max(config.steps * config.decay_fraction, 1.0)
    done = min(max((step + 1 - (config.steps - length)) / length, 0.0), 1.0)
    remaining = 1 - done if config.decay == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return warm * remaining
