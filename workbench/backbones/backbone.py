"""A pretrained causal language model that sleeps; we may insert fast-weight layers.

Its layers run as they are, one by one, each with a functional cache (`LayerCache`). Positions are
counted from the oldest token whose keys are kept: as in one long forward while nothing is evicted,
and after an eviction the same up to RoPE's dependence on differences alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from workbench.backbones.cache import LayerCache, Rotation, keyword_of
from workbench.backbones.families import family_of, writes_of
from workbench.backbones.inserted import FastWeightBlock, Inserted, Replacing
from workbench.config import ModelConfig
from workbench.errors import WorkbenchError
from workbench.mixers import mixers
from workbench.model import Memory
from workbench.model.fast_weights import Mixed, Writes
from workbench.model.layers import attention_mask


class Backbone(nn.Module):
    """A `SleepingModel` and `WritingModel` around a causal language model.

    `base`: a ``...ForCausalLM`` of transformers, or a `Decoder`, of a family in `FAMILIES`.
    `inserted`: fast-weight layers by the block of the base that they follow; each is a block, so
    that the depth grows by their number. `replaced`: fast-weight layers in the place of a block's
    attention, by that block.
    """

    def __init__(
        self,
        base: Any,
        inserted: Mapping[int, Inserted] | None = None,
        replaced: Mapping[int, Replacing] | None = None,
    ) -> None:
        super().__init__()
        self.family = family_of(base.config.model_type, type(base).__name__)
        if self.family.ours is None:
            base.set_attn_implementation("sdpa")  # the one that takes a bool mask
        self.base = base
        self.inserted = nn.ModuleDict({str(i): layer for i, layer in (inserted or {}).items()})
        self.replaced = nn.ModuleDict({str(i): layer for i, layer in (replaced or {}).items()})
        self.stack: list[nn.Module] = []  # a plain list: the modules are registered above
        for i, layer in enumerate(base.model.layers):
            self.stack.append(self.replaced[str(i)] if str(i) in self.replaced else layer)
            if str(i) in self.inserted:
                self.stack.append(self.inserted[str(i)])
        named = (*self.inserted, *self.replaced)
        outside = [i for i in named if int(i) not in range(len(base.model.layers))]
        if outside:
            raise WorkbenchError(
                f"a layer for block {', '.join(outside)}",
                f"blocks from 0 to {len(base.model.layers) - 1}",
                "name blocks of the base",
            )
        self.keyword = keyword_of(base.model.layers)

    @property
    def depth(self) -> int:
        """Number of blocks, inserted ones included."""
        return len(self.stack)

    @property
    def vocabulary(self) -> int:
        """Number of symbols."""
        return int(self.base.config.vocab_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return cast(torch.device, self.base.model.embed_tokens.weight.device)

    @property
    def fast_weight_layers(self) -> tuple[int, ...]:
        """Indices of the blocks that hold a fast-weight memory."""
        return tuple(
            i
            for i, block in enumerate(self.stack)
            if isinstance(block, FastWeightBlock) or hasattr(block, "linear_attn")
        )

    def range_of(self, begin: int, end: int) -> tuple[int, int]:
        """Return blocks ``begin <= i < end`` of the base as a range of all blocks, for a loop.

        An inserted layer belongs to the block that it follows.
        """
        first, last = (n + sum(int(i) < n for i in self.inserted) for n in (begin, end))
        return first, last

    def empty_memory(self, batch: int) -> Memory:
        """Return the memory before the first window: S = 0 in every fast-weight layer."""
        double = self.base.model.embed_tokens.weight.dtype == torch.float64
        state = {}
        for i in self.fast_weight_layers:
            block: Any = self.stack[i]
            ours = isinstance(block, FastWeightBlock)
            if ours:
                size = block.mixer.heads, block.mixer.keys, block.mixer.values
            else:
                mixer = block.linear_attn
                size = mixer.num_v_heads, mixer.head_k_dim, mixer.head_v_dim
            # transformers computes S in float32, whatever the weights are
            dtype = torch.float64 if double and ours else torch.float32
            state[i] = torch.zeros(batch, *size, device=self.device, dtype=dtype)
        return Memory(fast_weights=state)

    def embed(self, tokens: Tensor) -> Tensor:
        """Map token ids ``[batch, token]`` to ``[batch, token, channel]``."""
        return cast(Tensor, self.base.model.embed_tokens(tokens))

    def blocks(
        self,
        hidden: Tensor,
        memory: Memory,
        *,
        first: int = 0,
        last: int | None = None,
        valid: Tensor | None = None,
        window: int | None = None,
        output: bool = True,
        keep_kv: bool = True,
    ) -> tuple[Tensor | None, Memory]:
        """Run the blocks ``first <= i < last`` once; as `HybridModel.blocks`."""
        last = self.depth if last is None else last
        fast_weights, tails = dict(memory.fast_weights), dict(memory.conv_tails)
        kv = dict(memory.kv)
        rotations: dict[int, Rotation | None] = {}
        stop = last
        if not output:
            useful = [i for i in range(first, last) if keep_kv or i in fast_weights]
            stop = max(useful, default=first - 1) + 1
        for i in range(first, stop):
            block = self.stack[i]
            if i in fast_weights:
                state, tail = fast_weights[i], tails.get(i)
                if isinstance(block, FastWeightBlock):
                    wanted = output or i < stop - 1
                    mixed = block(hidden, state, tail, valid, wanted)
                else:
                    mixed = self._written(block, hidden, state, tail, valid)
                fast_weights[i], tails[i] = mixed.state, mixed.tail
                hidden = hidden if mixed.output is None else mixed.output
                continue
            total = hidden.shape[1] + (kv[i].valid.shape[1] if i in kv else 0)
            if total not in rotations:
                rotations[total] = self._rotation(hidden, total)
            cache = LayerCache(kv=kv.get(i), valid=valid, rotation=rotations[total])
            hidden = self._attended(i, hidden, cache, window)
            if keep_kv:
                assert cache.kv is not None
                kv[i] = cache.kv
        return (hidden if output else None), Memory(fast_weights, tails, kv)

    def writes(
        self, layer: int, hidden: Tensor, memory: Memory, *, valid: Tensor | None = None
    ) -> Writes:
        """Return what each token writes into a fast-weight layer; as `HybridModel.writes`."""
        if layer not in self.fast_weight_layers:
            raise WorkbenchError(
                f"the writes of block {layer}",
                f"a fast-weight layer: {', '.join(map(str, self.fast_weight_layers)) or 'none'}",
                "name one of those",
            )
        block, tail = self.stack[layer], memory.conv_tails.get(layer)
        if isinstance(block, FastWeightBlock):
            return block.writes(hidden, tail, valid)
        if valid is None:
            return writes_of(self.family, block, hidden, tail)
        found: list[list[Tensor]] = []
        for one, real in _rows(valid):
            before = None if tail is None else tail[one]
            alone: Any = writes_of(self.family, block, hidden[one][:, _some(real)], before)
            found.append([_spread(x, real) for x in alone[:5]])
        q, k, v, log_decay, beta = (torch.cat(rows) for rows in zip(*found, strict=True))
        return Writes(q, k, v, log_decay, beta, corrects=True)

    def normalise(self, hidden: Tensor) -> Tensor:
        """Apply the final norm."""
        return cast(Tensor, self.base.model.norm(hidden))

    def logits(self, hidden: Tensor, *, normalise: bool = True) -> Tensor:
        """Map ``[batch, token, channel]`` to logits ``[batch, token, symbol]``."""
        return cast(Tensor, self.base.lm_head(self.normalise(hidden) if normalise else hidden))

    def _written(
        self,
        layer: nn.Module,
        hidden: Tensor,
        state: Tensor,
        tail: Tensor | None,
        valid: Tensor | None,
    ) -> Mixed:
        """Run a Gated DeltaNet layer; where there is padding, each sequence alone and without it.

        The layer itself would let padding into the convolution, and decay S over it.
        """
        if valid is None:
            cache = LayerCache(state, tail)
            hidden = layer(hidden, position_embeddings=None, **{self.keyword: cache})
            assert cache.state is not None and cache.tail is not None
            return Mixed(hidden, cache.state, cache.tail)
        found = []
        for one, real in _rows(valid):
            before = None if tail is None else tail[one]
            alone = self._written(layer, hidden[one][:, _some(real)], state[one], before, None)
            assert alone.output is not None
            output = _spread(alone.output, real)
            if not real.any():
                after = torch.zeros_like(alone.tail) if before is None else before
                alone = Mixed(output, state[one], after)
            found.append(alone._replace(output=output))
        return Mixed(*(torch.cat(rows) for rows in zip(*found, strict=True)))

    def _attended(self, i: int, hidden: Tensor, cache: LayerCache, window: int | None) -> Tensor:
        """Run an attention layer over the KV kept and the tokens given."""
        kept, (batch, tokens) = cache.kv, hidden.shape[:2]
        masked = cache.valid is not None or (kept is not None and not bool(kept.valid.all()))
        if cache.valid is None:
            cache.valid = hidden.new_ones((batch, tokens), dtype=torch.bool)
        known = cache.valid if kept is None else torch.cat((kept.valid, cache.valid), dim=1)
        layer: Any = self.stack[i]
        own = _own_window(self.base.config, layer.self_attn.layer_idx)
        bound = min((w for w in (window, own) if w is not None), default=None)
        mask = attention_mask(tokens, known, bound, masked=masked)
        if mask is not None and mask.ndim == 2:
            mask = mask[None, None]
        angles = None
        if cache.rotation is not None:
            cos, sin = cache.rotation
            angles = cos[None, -tokens:], sin[None, -tokens:]
        given = {self.keyword: cache, "attention_mask": mask, "position_embeddings": angles}
        return cast(Tensor, layer(hidden, **given))

    def _rotation(self, hidden: Tensor, total: int) -> Rotation | None:
        """Return RoPE's angles of positions 0 to `total`; None where the model has no RoPE."""
        if self.base.model.rotary_emb is None:
            return None
        ids = torch.arange(total, device=hidden.device).expand(self.family.positions, 1, total)
        cos, sin = self.base.model.rotary_emb(hidden, ids if len(ids) > 1 else ids[0])
        return cos[0], sin[0]


def insert(
    base: Any,
    kind: str,
    after: tuple[int, ...],
    *,
    replace: tuple[int, ...] = (),
    heads: int | None = None,
    dim: int | None = None,
    seed: int = 0,
    start: str = "random",
) -> Backbone:
    """Return a model with fast-weight layers of a mixer after some blocks of the base.

    `heads` and `dim` (of keys and values alike) are those of the base's attention unless given.
    Without `replace`, blocks whose attention gives way to a new layer, the result computes what the
    base does until the new layers are trained. They are float32 whatever the base is.
    """
    if len(set(after)) < len(after):
        raise WorkbenchError(
            f"after = {after}, with a block twice", "each block once", "leave out the repetition"
        )
    weight = base.model.embed_tokens.weight
    ours = layer_config(base.config, kind, heads=heads, dim=dim, start=start)
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.promote_types(weight.dtype, torch.float32)
    layers = {i: Inserted(ours, generator).to(weight.device, dtype) for i in sorted(after)}
    replaced = {
        i: Replacing(ours, generator, _with_attention(base, i)).to(weight.device, dtype)
        for i in sorted(replace)
    }
    return Backbone(base, layers, replaced).eval()


def layer_config(
    config: Any,
    kind: str,
    *,
    heads: int | None = None,
    dim: int | None = None,
    start: str = "random",
) -> ModelConfig:
    """Return the sizes of a layer of a mixer for a base of transformers' configuration."""
    if kind not in mixers():
        raise WorkbenchError(
            f"layers of the kind {kind!r} to insert",
            f"a fast-weight mixer: {', '.join(mixers())}",
            "choose one of those",
        )
    theirs = config.num_attention_heads
    size = dim or getattr(config, "head_dim", None) or config.hidden_size // theirs
    return ModelConfig(
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        layers=(kind,),
        attention_heads=1,
        gdn_heads=heads or theirs,
        key_dim=size,
        value_dim=size,
        norm_eps=config.rms_norm_eps,
        fast_weights_start=start,
    )


def _with_attention(base: Any, i: int) -> Any:
    """Return a block whose attention can be replaced; raise WorkbenchError for another."""
    blocks = base.model.layers
    block = blocks[i] if i < len(blocks) else None
    parts = ("self_attn", "mlp", "post_attention_layernorm")
    normed_after = hasattr(
        block, "input_layernorm_2"
    )  # as in Ouro: the MLP is not all that follows
    if (
        isinstance(block, FastWeightBlock)
        or normed_after
        or not all(hasattr(block, p) for p in parts)
    ):
        raise WorkbenchError(
            f"replace = {i}, which is no block with attention that can be replaced",
            f"blocks of pre-norm attention, from 0 to {len(blocks) - 1}",
            "name one of those",
        )
    return block


def _own_window(config: Any, layer: int) -> int | None:
    """Return how far back a layer's attention reaches by its own configuration; None: all."""
    kinds = getattr(config, "layer_types", None)
    slides = kinds is None or kinds[layer] in ("sliding_attention", "swa")
    return getattr(config, "sliding_window", None) if slides else None


def _rows(valid: Tensor) -> list[tuple[slice, Tensor]]:
    """Return each sequence of a batch, and which of its tokens are real."""
    return [(slice(n, n + 1), real) for n, real in enumerate(valid)]


def _some(real: Tensor) -> Tensor:
    """Return which tokens to run: the real ones, or the first where a layer would get none."""
    return real if real.any() else torch.arange(len(real), device=real.device) == 0


def _spread(x: Tensor, real: Tensor) -> Tensor:
    """Put the real tokens ``[1, token, ...]`` back in their places; zeros are padding."""
    places = real.nonzero()[:, 0]
    return x.new_zeros(1, len(real), *x.shape[2:]).index_copy(1, places, x[:, : len(places)])
