"""Jet-Nemotron (Gu et al., arXiv 2508.15884): Jet layers, and a few of attention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, model_validator
from torch import Tensor, nn

from workbench.backbones.decoder import (
    Decoder,
    DecoderLayer,
    Few,
    GatedMLP,
    Positive,
    Settings,
    Size,
    norm_of,
)
from workbench.backbones.inserted import FastWeightBlock
from workbench.mixers import JET
from workbench.model.fast_weights import FastWeights, Mixed, Writes


class JetSizes(BaseModel):
    """Sizes of a Jet layer."""

    num_heads: Few
    head_dim: Size
    expand_v: Positive
    conv_size: Few
    dconv_generator_reduction: Size
    norm_eps: Positive
    """A text in the published files."""


class SlidingWindow(BaseModel):
    """How far back a layer with a sliding window attends, the present token included."""

    window_size: Size


class Efficient(BaseModel):
    """Settings of each kind of layer but full attention."""

    jet: JetSizes
    swa: SlidingWindow | None = None


class JetNemotronSettings(Settings):
    """Configuration of Jet-Nemotron."""

    layer_types: tuple[Literal["jet", "attn", "swa"], ...]
    efficient_attention_config: Efficient

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.layer_types) != self.num_hidden_layers:
            raise ValueError("name one of layer_types for each of num_hidden_layers")
        if "swa" in self.layer_types and self.efficient_attention_config.swa is None:
            raise ValueError("add swa to efficient_attention_config")
        return self

    @property
    def sliding_window(self) -> int | None:
        """How far back layers of the kind ``swa`` attend."""
        swa = self.efficient_attention_config.swa
        return None if swa is None else swa.window_size


PUBLISHED = {
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "gate": "g_proj",
    "decay": "a_proj",
    "write": "b_proj",
    "out": "o_proj",
    "norm": "o_norm",
    "log_rate": "A_log",
    "decay_bias": "dt_bias",
    "taps_in": "dynamic_conv1d.kernel_generator.w1",
    "taps_out": "dynamic_conv1d.kernel_generator.w2",
}
"""Published name of each part of `FastWeights`."""


class JetBlock(FastWeights):
    """Our Jet layer under the published names."""

    def __init__(self, config: JetNemotronSettings) -> None:
        nn.Module.__init__(self)  # the parts are those of the file, not of FastWeights
        jet, width = config.efficient_attention_config.jet, config.hidden_size
        self.mixer, self.backend, self.eps = JET, "auto", jet.norm_eps
        self.heads, self.keys, self.conv_width = jet.num_heads, jet.head_dim, jet.conv_size
        self.values = int(jet.head_dim * jet.expand_v)
        keys, values = self.heads * self.keys, self.heads * self.values
        inner = max(values // jet.dconv_generator_reduction, 1)
        sizes = {"q": keys, "k": keys, "v": values, "g": values, "a": self.heads, "b": self.heads}
        for name, size in sizes.items():
            self.add_module(f"{name}_proj", nn.Linear(width, size, bias=False))
        self.o_proj = nn.Linear(values, width, bias=False)
        self.o_norm = nn.RMSNorm(self.values, eps=jet.norm_eps)
        self.A_log = nn.Parameter(self.o_norm.weight.new_empty(self.heads))
        self.dt_bias = nn.Parameter(self.o_norm.weight.new_empty(self.heads))
        w1 = nn.Linear(width, inner, bias=False)
        w2 = nn.Linear(inner, values * self.conv_width)
        generator = nn.ModuleDict({"w1": w1, "w2": w2})
        self.dynamic_conv1d = nn.ModuleDict({"kernel_generator": generator})

    def __getattr__(self, name: str) -> Any:
        """Find a part by the name that `FastWeights` uses."""
        if name not in PUBLISHED:
            return super().__getattr__(name)
        first, *others = PUBLISHED[name].split(".")
        part: Any = super().__getattr__(first)
        for other in others:
            part = part[other]
        return part


class JetLayer(FastWeightBlock):
    """Pre-norm block of a Jet layer and an MLP."""

    def __init__(self, config: JetNemotronSettings) -> None:
        super().__init__()
        self.self_attn = JetBlock(config)
        self.mlp = GatedMLP(config)
        self.input_layernorm = norm_of(config)
        self.post_attention_layernorm = norm_of(config)

    @property
    def mixer(self) -> FastWeights:  # type: ignore[override]  # one module has one name
        """The layer that holds S."""
        return self.self_attn

    def forward(
        self, hidden: Tensor, state: Tensor, tail: Tensor | None, valid: Tensor | None, output: bool
    ) -> Mixed:
        """Write the tokens into S, read them out, and run the MLP."""
        mixed = self.self_attn(self.input_layernorm(hidden), state, tail, valid, output)
        if mixed.output is None:
            return mixed
        hidden = hidden + mixed.output
        return mixed._replace(output=hidden + self.mlp(self.post_attention_layernorm(hidden)))

    def writes(self, hidden: Tensor, tail: Tensor | None, valid: Tensor | None) -> Writes:
        """Return what each token writes."""
        return self.self_attn.writes(self.input_layernorm(hidden), tail, valid)


class JetNemotron(Decoder):
    """Jet-Nemotron 2B and 4B."""

    settings = JetNemotronSettings

    def layers_of(self, config: JetNemotronSettings) -> Iterable[nn.Module]:
        """Return the layers in turn."""
        for i, kind in enumerate(config.layer_types):
            yield JetLayer(config) if kind == "jet" else DecoderLayer(config, i, bias=True)
