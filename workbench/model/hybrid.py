"""The hybrid stack: embedding, blocks of mixer and MLP, head.

What Algorithm 1 asks of a model stands in `workbench.sleep.contract.SleepingModel`.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from workbench.config import ModelConfig
from workbench.errors import WorkbenchError
from workbench.model.fast_weights import FastWeights, Writes
from workbench.model.layers import Attention, RMSNorm, SwiGLU
from workbench.model.memory import KVCache, Memory


class Block(nn.Module):
    """Pre-norm residual block: mixer, then SwiGLU (left out where its width is 0)."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        kind = config.layers[index]
        self.mixer_norm = RMSNorm(config)
        self.mixer: Attention | FastWeights = (
            Attention(config) if kind == "attention" else FastWeights(config, kind)
        )
        if config.mlp_width:
            self.mlp_norm = RMSNorm(config)
            self.mlp = SwiGLU(config)
        self.has_mlp = bool(config.mlp_width)

    def finish(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Add the mixer's output and the MLP to the residual stream."""
        hidden = hidden + mixed
        return hidden + self.mlp(self.mlp_norm(hidden)) if self.has_mlp else hidden


class HybridModel(nn.Module):
    """Hybrid of attention and fast weights.

    `seed` fixes the initial weights; the global random state is neither read nor changed.
    """

    def __init__(self, config: ModelConfig, *, seed: int = 0) -> None:
        super().__init__()
        if config.vocabulary < 1:
            raise WorkbenchError(
                "model.vocabulary = 0", "the number of symbols", "set it, or train on a task"
            )
        self.config = config
        # PyTorch's layers draw their first weights from the global generator, except on "meta"
        with torch.device("meta"):
            # nn.Embedding would draw weights here, too, for which PyTorch loads its compiler
            empty = torch.empty(config.vocabulary, config.width)
            self.embedding = nn.Embedding.from_pretrained(empty, freeze=False)
            self.stack = nn.ModuleList(Block(config, i) for i in range(len(config.layers)))
            self.final_norm = RMSNorm(config)
            self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        if torch.get_default_device().type != "meta":  # there a caller asks for shapes alone
            # `to_empty` does the same, but loads a part of PyTorch's compiler for it
            weights = self.state_dict().items()
            empty_ones = {n: torch.empty(t.shape, dtype=t.dtype, device="cpu") for n, t in weights}
            self.load_state_dict(empty_ones, assign=True)
            self._initialise(torch.Generator().manual_seed(seed))

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.stack)

    @property
    def vocabulary(self) -> int:
        """Number of symbols."""
        return self.config.vocabulary

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.weight.device

    @property
    def fast_weight_layers(self) -> tuple[int, ...]:
        """Indices of the blocks that hold a fast-weight memory."""
        return tuple(i for i, kind in enumerate(self.config.layers) if kind != "attention")

    def _initialise(self, generator: torch.Generator) -> None:
        """N(0, 1) embeddings; N(0, 0.02) into the residual stream and the head; norms of ones."""
        nn.init.normal_(self.embedding.weight, generator=generator)
        into_stream = {"out", "down", "head"}
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                small = name.rsplit(".", 1)[-1] in into_stream
                std = 0.02 if small else module.in_features**-0.5
                nn.init.normal_(module.weight, std=std, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.RMSNorm):
                nn.init.ones_(module.weight)
            elif isinstance(module, FastWeights):
                module.initialise(generator)

    def empty_memory(self, batch: int) -> Memory:
        """Return the memory before the first window: S = 0 in every fast-weight layer."""
        state: dict[int, Tensor] = {}
        dtype = torch.float64 if self.embedding.weight.dtype == torch.float64 else torch.float32
        shape = (batch, self.config.gdn_heads, self.config.key_dim, self.config.value_dim)
        for i in self.fast_weight_layers:
            state[i] = torch.zeros(shape, device=self.device, dtype=dtype)
        return Memory(fast_weights=state)

    def embed(self, tokens: Int[Tensor, "batch token"]) -> Float[Tensor, "batch token channel"]:
        """Map token ids ``[batch, token]`` to ``[batch, token, channel]``."""
        return self.embedding(tokens)

    def blocks(
        self,
        hidden: Float[Tensor, "batch token channel"],
        memory: Memory,
        *,
        first: int = 0,
        last: int | None = None,
        valid: Bool[Tensor, "batch token"] | None = None,
        window: int | None = None,
        output: bool = True,
        keep_kv: bool = True,
    ) -> tuple[Float[Tensor, "batch token channel"] | None, Memory]:
        """Run the blocks ``first <= i < last`` once; `last` None means to the end.

        `hidden`: ``[batch, token, channel]``. `memory`: S, convolution tails and KV cache carried
        in. `valid`: bool ``[batch, token]``; None means no padding. `window`: attention reaches at
        most this many newest tokens. `output` False: nothing reads the hidden output, so what
        follows the last layer that leaves something in the memory is not computed. `keep_kv` False:
        nothing reads the KV cache afterwards; it is returned unchanged.

        Returns the hidden output, ``[batch, token, channel]`` or None, and the memory after these
        tokens.
        """
        last = self.depth if last is None else last
        fast_weights, tails = dict(memory.fast_weights), dict(memory.conv_tails)
        kv: dict[int, KVCache] = dict(memory.kv)
        stop = last
        if not output:
            useful = [i for i in range(first, last) if keep_kv or i in self.fast_weight_layers]
            stop = max(useful, default=first - 1) + 1
        for i in range(first, stop):
            block = cast(Block, self.stack[i])
            normed = block.mixer_norm(hidden)
            wanted = output or i < stop - 1
            if isinstance(block.mixer, Attention):
                mixed, cache = block.mixer(normed, kv.get(i), valid, window, wanted)
                if keep_kv:
                    kv[i] = cache
            else:
                mixed, fast_weights[i], tails[i] = block.mixer(
                    normed, fast_weights[i], tails.get(i), valid, wanted
                )
            if mixed is not None:
                hidden = block.finish(hidden, mixed)
        return (hidden if output else None), Memory(fast_weights, tails, kv)

    def writes(
        self,
        layer: int,
        hidden: Float[Tensor, "batch token channel"],
        memory: Memory,
        *,
        valid: Bool[Tensor, "batch token"] | None = None,
    ) -> Writes:
        """Return what each token writes into a fast-weight layer, for what enters its block.

        `layer`: index of the block. `hidden`: features that enter the block,
        ``[batch, token, channel]``. `memory`: as the pass began; only the layer's convolution tail
        is read. `valid`: bool ``[batch, token]``; None means no padding. Raises WorkbenchError: the
        block holds no fast weights.
        """
        block = cast(Block, self.stack[layer]) if 0 <= layer < self.depth else None
        if block is None or isinstance(block.mixer, Attention):
            raise WorkbenchError(
                f"the writes of block {layer}",
                f"a fast-weight layer: {', '.join(map(str, self.fast_weight_layers)) or 'none'}",
                "name one of those",
            )
        return block.mixer.writes(block.mixer_norm(hidden), memory.conv_tails.get(layer), valid)

    def normalise(self, hidden: Tensor) -> Tensor:
        """Apply the final RMSNorm."""
        return self.final_norm(hidden)

    def logits(
        self, hidden: Float[Tensor, "batch token channel"], *, normalise: bool = True
    ) -> Float[Tensor, "batch token symbol"]:
        """Map ``[batch, token, channel]`` to logits ``[batch, token, symbol]``.

        ``normalise=False`` where the final norm was part of the pass already.
        """
        return self.head(self.final_norm(hidden) if normalise else hidden)
