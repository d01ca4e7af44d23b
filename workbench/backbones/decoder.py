"""Parts of the decoders that transformers does not have: `Backbone` calls them as it calls theirs.

Modules are named as in the published weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from workbench.backbones.cache import LayerCache, Rotation, rotated

Size = Annotated[int, Field(ge=1, le=2**24)]
Few = Annotated[int, Field(ge=1, le=1024)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """What is read of ``config.json``; other entries of it change nothing in a forward pass."""

    model_config = ConfigDict(frozen=True)

    model_type: str
    vocab_size: Size
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Few
    num_attention_heads: Few
    num_key_value_heads: Few
    head_dim: Size | None = None
    hidden_act: Literal["silu"] = "silu"
    rms_norm_eps: Positive = 1e-6
    rope_theta: Positive
    rope_scaling: None = None
    tie_word_embeddings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _rope(cls, data: Any) -> Any:
        """Also take RoPE as transformers writes it since version 5."""
        later = data.get("rope_parameters") if isinstance(data, dict) else None
        if not isinstance(later, dict):
            return data
        scaled = None if later.get("rope_type", "default") == "default" else later
        return {"rope_theta": later.get("rope_theta"), "rope_scaling": scaled} | data

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("make num_attention_heads a multiple of num_key_value_heads")
        if self.head_size % 2 or not (self.head_dim or self.hidden_size % self.head_size == 0):
            raise ValueError("make hidden_size an even multiple of num_attention_heads")
        return self

    @property
    def head_size(self) -> int:
        """Channels of an attention head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads


class Attention(nn.Module):
    """Grouped softmax attention with RoPE; `bias` is that of queries, keys and values."""

    def __init__(self, config: Settings, layer_idx: int, *, bias: bool) -> None:
        super().__init__()
        self.layer_idx, self.head_size = layer_idx, config.head_size
        width, size = config.hidden_size, config.head_size
        self.q_proj = nn.Linear(width, config.num_attention_heads * size, bias=bias)
        self.k_proj = nn.Linear(width, config.num_key_value_heads * size, bias=bias)
        self.v_proj = nn.Linear(width, config.num_key_value_heads * size, bias=bias)
        self.o_proj = nn.Linear(config.num_attention_heads * size, width, bias=False)

    def forward(
        self, x: Tensor, angles: Rotation, mask: Tensor | None, cache: LayerCache
    ) -> Tensor:
        """Attend to what the cache keeps and to the tokens given, ``[batch, token, channel]``.

        `mask`: bool, True where a token is attended to; None: all before it and itself.
        """
        q, k, v = (
            projection(x).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        cos, sin = (a[0] for a in angles)
        keys, values = cache.update(rotated(k, cos, sin), v)
        attended = F.scaled_dot_product_attention(
            rotated(q, cos, sin), keys, values, mask, is_causal=mask is None, enable_gqa=True
        )
        return self.o_proj(attended.transpose(1, 2).flatten(-2))


class GatedMLP(nn.Module):
    """``W_down (SiLU(W_gate x) * W_up x)``, with the weights apart: joining them costs a copy."""

    def __init__(self, config: Settings) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, token, channel]`` to the same shape."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def norm_of(config: Settings) -> nn.RMSNorm:
    """Return an RMSNorm along the channels of the model."""
    return nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


class DecoderLayer(nn.Module):
    """Block of attention and an MLP, each with a norm before it; `sandwich`: one after it, too."""

    def __init__(
        self, config: Settings, index: int, *, bias: bool = False, sandwich: bool = False
    ) -> None:
        super().__init__()
        self.self_attn = Attention(config, index, bias=bias)
        self.mlp = GatedMLP(config)
        self.input_layernorm = norm_of(config)
        self.post_attention_layernorm = norm_of(config)
        self.sandwich = sandwich
        if sandwich:
            self.input_layernorm_2 = norm_of(config)
            self.post_attention_layernorm_2 = norm_of(config)

    def forward(
        self,
        hidden: Tensor,
        *,
        cache: LayerCache,
        attention_mask: Tensor | None,
        position_embeddings: Rotation,
    ) -> Tensor:
        """Map ``[batch, token, channel]`` to the same shape; `cache` keeps keys and values."""
        normed = self.input_layernorm(hidden)
        attended = self.self_attn(normed, position_embeddings, attention_mask, cache)
        hidden = hidden + (self.input_layernorm_2(attended) if self.sandwich else attended)
        through = self.mlp(self.post_attention_layernorm(hidden))
        return hidden + (self.post_attention_layernorm_2(through) if self.sandwich else through)


class Body(nn.Module):
    """Embedding, layers and final norm."""

    def __init__(self, config: Settings, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        # nn.Embedding would draw weights, for which PyTorch loads its compiler
        empty = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding.from_pretrained(empty, freeze=False)
        self.layers = nn.ModuleList(layers)
        self.norm = norm_of(config)
        self.rope_theta, self.head_size = config.rope_theta, config.head_size

    def rotary_emb(self, hidden: Tensor, ids: Tensor) -> Rotation:
        """Return RoPE's angles ``[1, token, channel]`` of positions ``ids [1, token]``."""
        even = torch.arange(0, self.head_size, 2, device=ids.device, dtype=torch.float64)
        rates = self.rope_theta ** (-even / self.head_size)
        angles = (ids[..., None] * rates).repeat(1, 1, 2)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        return angles.cos().to(wide), angles.sin().to(wide)


class Decoder(nn.Module):
    """What `Backbone` takes of a causal language model; its weights are not set here."""

    settings: type[Settings]
    """What reads its ``config.json``."""

    def __init__(self, config: Settings) -> None:
        super().__init__()
        self.config = config
        self.model = Body(config, self.layers_of(config))
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def layers_of(self, config: Any) -> Iterable[nn.Module]:
        """Return the layers in turn; `config` is one of `settings`."""
        raise NotImplementedError

    def tie(self) -> None:
        """Make the head use the embedding, if the configuration says so."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
