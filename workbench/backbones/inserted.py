"""A fast-weight layer put between the blocks of a pretrained model, which it leaves as it is."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from workbench.config import ModelConfig
from workbench.model.fast_weights import FastWeights, Mixed, Writes


class FastWeightBlock(nn.Module):
    """A block of ours that holds S: `mixer` says its sizes."""

    mixer: FastWeights

    def forward(
        self, hidden: Tensor, state: Tensor, tail: Tensor | None, valid: Tensor | None, output: bool
    ) -> Mixed:
        """Write the tokens into S; return the features after the block, unless only S counts."""
        raise NotImplementedError

    def writes(self, hidden: Tensor, tail: Tensor | None, valid: Tensor | None) -> Writes:
        """Return what each token writes."""
        raise NotImplementedError


class Inserted(FastWeightBlock):
    """A residual block of one of our mixers without an MLP: ``h + FastWeights(RMSNorm(h))``.

    Its output projection is zero at first, so that the model computes what it did before. The Jet
    layers added to Ouro (arXiv 2605.26099) are such blocks; how theirs begin is not published.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.mixer = FastWeights(config, config.layers[0])
        for module in self.mixer.modules():
            if isinstance(module, nn.Linear):
                std = module.in_features**-0.5
                nn.init.normal_(module.weight, std=std, generator=generator)
        self.mixer.initialise(generator)
        nn.init.zeros_(self.mixer.out.weight)

    def forward(
        self, hidden: Tensor, state: Tensor, tail: Tensor | None, valid: Tensor | None, output: bool
    ) -> Mixed:
        """Write the tokens into S, and add what is read to the features."""
        mixed = self.mixer(self.normed(hidden), state, tail, valid, output)
        if mixed.output is None:
            return mixed
        return mixed._replace(output=self.around(hidden, mixed.output.to(hidden.dtype)))

    def writes(self, hidden: Tensor, tail: Tensor | None, valid: Tensor | None) -> Writes:
        """Return what each token writes."""
        return self.mixer.writes(self.normed(hidden), tail, valid)

    def normed(self, hidden: Tensor) -> Tensor:
        """Return what the mixer reads; it computes in the precision of its own weights."""
        return self.norm(hidden.to(self.norm.weight.dtype))

    def around(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Return the features after the block, from those before it and the mixer's output."""
        return hidden + mixed


class Replacing(Inserted):
    """A block of the base with a fast-weight layer in place of its attention; the MLP stays.

    `block`: of the base, with a pre-norm attention; it keeps its attention, to learn from.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator, block: nn.Module) -> None:
        super().__init__(config, generator)
        self.stack = [block]  # a plain list: the base has registered it

    def around(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Return the features after the block, MLP included."""
        block: Any = self.stack[0]
        hidden = hidden + mixed
        return cast(Tensor, hidden + block.mlp(block.post_attention_layernorm(hidden)))
