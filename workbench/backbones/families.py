"""The families of models that can sleep, by the `model_type` of their configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import sleep_kernels
from sleep_kernels.norms import unit_norm
from workbench.backbones.decoder import Decoder
from workbench.backbones.jet_nemotron import JetNemotron
from workbench.backbones.ouro import Ouro
from workbench.errors import WorkbenchError
from workbench.model.fast_weights import Writes


@dataclass(frozen=True)
class Family:
    """What differs between models whose layers are called alike.

    `project`: a Gated DeltaNet layer's inputs of the convolution, of the write strength and of the
    decay from its features; None without such layers. `positions`: rows of position numbers that
    its RoPE takes (one for each axis of an image; a text has the same in all). `ours`: its modules
    where transformers has none. `terms`: what its users have to know about its licence.
    """

    project: Callable[[Any, Tensor], tuple[Tensor, Tensor, Tensor]] | None = None
    positions: int = 1
    ours: type[Decoder] | None = None
    terms: str | None = None


def _qwen3_5(mixer: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return mixer.in_proj_qkv(x), mixer.in_proj_b(x), mixer.in_proj_a(x)


def _qwen3_next(mixer: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    both = mixer.in_proj_qkvz(x), mixer.in_proj_ba(x)
    q, k, v, _, strength, decay = mixer.fix_query_key_value_ordering(*both)
    return torch.cat([y.flatten(2) for y in (q, k, v)], dim=-1), strength, decay


def _olmo_hybrid(mixer: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    qkv = torch.cat((mixer.q_proj(x), mixer.k_proj(x), mixer.v_proj(x)), dim=-1)
    return qkv, mixer.b_proj(x), mixer.a_proj(x)


FAMILIES = {
    "qwen3_5": Family(_qwen3_5, positions=3),
    "qwen3_5_text": Family(_qwen3_5, positions=3),
    "qwen3_next": Family(_qwen3_next),
    "olmo_hybrid": Family(_olmo_hybrid),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), Family()),
    "jet_nemotron": Family(
        ours=JetNemotron, terms="its authors allow research only, nothing commercial"
    ),
    "ouro": Family(ours=Ouro),
}


def family_of(model_type: object, named: str) -> Family:
    """Return a family; raise WorkbenchError, which names those there are, for another."""
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise WorkbenchError(
            f"{named} is a model of the architecture {str(model_type)[:60]!r}",
            f"one of {', '.join(FAMILIES)}",
            "choose another model",
        )
    return FAMILIES[model_type]


def writes_of(family: Family, layer: Any, hidden: Tensor, tail: Tensor | None) -> Writes:
    """Return what each token writes into a Gated DeltaNet layer of transformers.

    Computed from the layer's weights, as its forward does (arXiv 2412.06464, section 3). Heads of
    queries and keys are repeated for the heads of values that share them.
    """
    from transformers.activations import ACT2FN

    assert family.project is not None
    mixer = layer.linear_attn
    qkv, strength, decay = family.project(mixer, layer.input_layernorm(hidden))
    convolved, _ = sleep_kernels.short_convolution(qkv, mixer.conv1d.weight[:, 0], tail)
    convolved = ACT2FN[mixer.activation](convolved)
    q, k, v = convolved.float().split((mixer.key_dim, mixer.key_dim, mixer.value_dim), dim=-1)
    shared = mixer.num_v_heads // mixer.num_k_heads
    q, k = (
        unit_norm(y.unflatten(-1, (-1, mixer.head_k_dim))).repeat_interleave(shared, dim=2)
        for y in (q, k)
    )
    beta = strength.sigmoid().float() * (2 if getattr(mixer, "allow_neg_eigval", False) else 1)
    log_decay = -mixer.A_log.float().exp() * F.softplus(decay.float() + mixer.dt_bias)
    v = v.unflatten(-1, (-1, mixer.head_v_dim))
    return Writes(q, k, v, log_decay, beta, corrects=True)
