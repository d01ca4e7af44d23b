"""Ouro (Zhu et al., arXiv 2510.25741): a looped Llama with norms before and after each part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn

from workbench.backbones.cache import LayerCache, Rotation
from workbench.backbones.decoder import Attention, Decoder, GatedMLP, Settings, norm_of


class OuroSettings(Settings):
    """Configuration of Ouro; how often it loops is said by `SleepConfig`."""

    use_sliding_window: Literal[False] = False
    layer_types: tuple[Literal["full_attention"], ...] | None = None


class OuroLayer(nn.Module):
    """``h + norm(attention(norm(h)))``, then the MLP likewise."""

    def __init__(self, config: OuroSettings, index: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, index, bias=False)
        self.mlp = GatedMLP(config)
        self.input_layernorm = norm_of(config)
        self.input_layernorm_2 = norm_of(config)
        self.post_attention_layernorm = norm_of(config)
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
        hidden = hidden + self.input_layernorm_2(attended)
        through = self.mlp(self.post_attention_layernorm(hidden))
        return hidden + self.post_attention_layernorm_2(through)


class Ouro(Decoder):
    """Ouro 1.4B and 2.6B. Its final norm belongs to the loop: ``final_norm = "inside"``."""

    settings = OuroSettings

    def __init__(self, config: OuroSettings) -> None:
        super().__init__(config)
        # published with the weights; decides when to stop looping, which a sleep does otherwise
        self.model.early_exit_gate = nn.Linear(config.hidden_size, 1)

    def layers_of(self, config: OuroSettings) -> Iterable[nn.Module]:
        """Return the layers in turn."""
        return (OuroLayer(config, i) for i in range(config.num_hidden_layers))
