"""Ouro (Zhu et al., arXiv 2510.25741): a looped Llama with norms before and after each part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn

from workbench.backbones.decoder import Decoder, DecoderLayer, Settings


class OuroSettings(Settings):
    """Configuration of Ouro; how often it loops is said by `SleepConfig`."""

    use_sliding_window: Literal[False] = False
    layer_types: tuple[Literal["full_attention"], ...] | None = None


class Ouro(Decoder):
    """Ouro 1.4B and 2.6B. Its final norm belongs to the loop: ``final_norm = "inside"``."""

    settings = OuroSettings

    def __init__(self, config: OuroSettings) -> None:
        super().__init__(config)
        # published with the weights; decides when to stop looping, which a sleep does otherwise
        self.model.early_exit_gate = nn.Linear(config.hidden_size, 1)

    def layers_of(self, config: OuroSettings) -> Iterable[nn.Module]:
        """Return the layers in turn."""
        return (DecoderLayer(config, i, sandwich=True) for i in range(config.num_hidden_layers))
