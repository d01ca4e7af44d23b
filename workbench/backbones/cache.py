"""The cache that a layer of transformers is handed: state in, state out, nothing in place.

Their caches are updated in place, through which no gradient passes from one window to the next.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

import sleep_kernels
from workbench.model import KVCache

Rotation = tuple[Tensor, Tensor]
"""RoPE's cosines and sines, ``[token, channel]``, of the tokens kept and the new ones."""


class LayerCache:
    """The cache of one layer for one call, under every name by which the layer asks for it.

    `state`, `tail`: of a fast-weight layer, as `Memory` holds them. `kv`: of an attention layer;
    its keys are not rotated. `valid`: bool ``[batch, token]`` of the new tokens. `rotation`: None
    where the layer has no RoPE. After the call the attributes hold what the layer left.
    """

    def __init__(
        self,
        state: Tensor | None = None,
        tail: Tensor | None = None,
        *,
        kv: KVCache | None = None,
        valid: Tensor | None = None,
        rotation: Rotation | None = None,
    ) -> None:
        self.state, self.tail, self.kv = state, tail, kv
        self.valid, self.rotation = valid, rotation
        # before transformers 5.24 a layer looks into the cache's layers, of which this is each
        self.layers: Any = defaultdict(lambda: self)
        self.recurrent_states, self.conv_states, self.record_past = {0: state}, {0: None}, True

    def has_previous_state(self, *_: Any, **__: Any) -> bool:
        """S is always given."""
        return True

    def get_recurrent_state(self, *_: Any, **__: Any) -> Tensor | None:
        """Return S as it was carried in."""
        return self.state

    def update_recurrent_state(self, state: Tensor, *_: Any, **__: Any) -> Tensor:
        """Keep S after the tokens."""
        self.state = state
        return state

    def get_conv_state(self, *_: Any, **__: Any) -> None:
        """Return None, which keeps a layer off its path for single tokens, in place."""

    def is_recording_past(self, *_: Any, **__: Any) -> bool:
        """Keep a layer off that path too."""
        return True

    def update_conv_state(self, x: Tensor, *_: Any, conv_kernel_size: int, **__: Any) -> Tensor:
        """Put the tail in front of a convolution's input ``[batch, channel, token]``.

        The layer itself drops the columns that it did not give.
        """
        taps = conv_kernel_size - 1
        before = x.new_zeros(*x.shape[:2], taps) if self.tail is None else self.tail.mT.to(x.dtype)
        joined = torch.cat((before, x), dim=-1)
        self.tail = joined[..., joined.shape[-1] - taps :].mT
        return joined

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Return the keys and values to attend to, rotated; keep them, not rotated."""
        new, kept, valid = keys, self.kv, self.valid
        assert valid is not None
        tokens = keys.shape[2]
        if self.rotation is not None:
            new = rotated(keys, *(angles[-tokens:] for angles in self.rotation), back=True)
        if kept is not None:
            before = kept.keys
            if self.rotation is not None:
                before = rotated(before, *(angles[:-tokens] for angles in self.rotation))
            keys, new = torch.cat((before, keys), dim=2), torch.cat((kept.keys, new), dim=2)
            values = torch.cat((kept.values, values), dim=2)
            valid = torch.cat((kept.valid, valid), dim=1)
        self.kv = KVCache(new, values, valid)
        return keys, values


def rotated(x: Tensor, cos: Tensor, sin: Tensor, *, back: bool = False) -> Tensor:
    """Turn the first channels of ``[batch, attn_head, token, channel]``: as many as have angles.

    `back` undoes it, for models that also scale by the angles too. At least in float32.
    """
    wide, turned = torch.promote_types(x.dtype, torch.float32), cos.shape[-1]
    cos, sin = cos.to(wide), sin.to(wide)
    if back:
        size = cos.square() + sin.square()
        cos, sin = cos / size, -sin / size
    first = sleep_kernels.rotate(x[..., :turned].to(wide).contiguous(), cos, sin).to(x.dtype)
    return first if turned == x.shape[-1] else torch.cat((first, x[..., turned:]), dim=-1)


def keyword_of(layers: Iterable[nn.Module]) -> str:
    """Return what layers call their cache: ``cache`` from transformers 5.24 on, and in ours."""
    known = [inspect.signature(type(layer).forward).parameters for layer in layers]
    return next((n for n in ("cache", "past_key_values") if any(n in k for k in known)), "cache")
