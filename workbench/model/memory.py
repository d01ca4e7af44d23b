"""What survives between calls: fast weights, convolution tails and KV cache, in one object.

Nothing else carries state between passes or windows. Values are never changed in place: a pass
takes a memory and returns another.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.files import parse_json
from workbench.model.tensor_file import read_tensors, write_tensors

FORMAT = "sleep-memory/2"
WITHOUT_CHECKSUM = "sleep-memory/1"
"""The earlier format."""


@dataclass(frozen=True)
class KVCache:
    """Keys and values of one attention layer, not yet rotated.

    Positions start at 0 again in every window, so that nothing but the cache itself crosses an
    eviction; RoPE depends on differences of positions alone.
    """

    keys: Tensor
    values: Tensor
    """``[batch, attn_head, token, channel / attn_head]``."""
    valid: Tensor
    """bool ``[batch, token]``; False where the token is padding."""

    def newest(self, tokens: int) -> KVCache:
        """Return the cache of the newest `tokens` tokens."""
        start = max(self.keys.shape[2] - tokens, 0)
        return KVCache(self.keys[:, :, start:], self.values[:, :, start:], self.valid[:, start:])


@dataclass(frozen=True)
class Memory:
    """Everything a model carries, by layer index."""

    fast_weights: Mapping[int, Tensor] = field(default_factory=dict)
    """S of each fast-weight layer, ``[batch, gdn_head, key, value]``, float32."""
    conv_tails: Mapping[int, Tensor] = field(default_factory=dict)
    """Last inputs of each short convolution, ``[batch, taps - 1, channel]``."""
    kv: Mapping[int, KVCache] = field(default_factory=dict)
    """Cache of each attention layer; empty after a hard eviction."""

    def replace(self, **parts: Mapping) -> Self:
        """Return a memory with some of its three parts replaced."""
        return replace(self, **parts)

    def clone(self) -> Self:
        """Return a copy that shares no storage."""
        return self._map(torch.clone)

    def detach(self) -> Self:
        """Return the same values without their gradient history."""
        return self._map(torch.detach)

    def to(self, device: torch.device | str) -> Self:
        """Return the memory on `device`."""
        return self._map(lambda tensor: tensor.to(device))

    def examples(self, index: Tensor | slice) -> Self:
        """Return the memory of some sequences of the batch."""
        return self._map(lambda tensor: tensor[index])

    def erase(self) -> Self:
        """Return a memory that holds nothing: S all zeros, no tails, no KV cache."""
        return replace(
            self,
            fast_weights={i: torch.zeros_like(s) for i, s in self.fast_weights.items()},
            conv_tails={},
            kv={},
        )

    def overwrite(self) -> None:
        """Zero every tensor in place, so that no copy of the contents stays in this storage."""
        with torch.no_grad():
            self._map(torch.Tensor.zero_)

    @property
    def nbytes(self) -> int:
        """Bytes held by all tensors."""
        return sum(t.numel() * t.element_size() for t in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors under stable names, as they are saved."""
        named = {f"fast_weights.{i}": s for i, s in self.fast_weights.items()}
        named |= {f"conv_tails.{i}": t for i, t in self.conv_tails.items()}
        for i, cache in self.kv.items():
            named |= {
                f"kv.{i}.keys": cache.keys,
                f"kv.{i}.values": cache.values,
                f"kv.{i}.valid": cache.valid,
            }
        return named

    @classmethod
    def from_tensors(cls, named: Mapping[str, Tensor]) -> Self:
        """Build a memory from what `tensors` returned; any other name is a ValueError."""
        fast_weights, conv_tails = {}, {}
        caches: dict[int, dict[str, Tensor]] = {}
        for name, tensor in named.items():
            match name.split("."):
                case ["fast_weights", layer]:
                    fast_weights[int(layer)] = tensor
                case ["conv_tails", layer]:
                    conv_tails[int(layer)] = tensor
                case ["kv", layer, part]:
                    caches.setdefault(int(layer), {})[part] = tensor
                case _:
                    raise ValueError(f"a tensor {name!r}")
        return cls(fast_weights, conv_tails, {i: KVCache(**c) for i, c in caches.items()})

    def save(self, path: str | Path, extra: Mapping[str, object] | None = None) -> None:
        """Write a file of tensors with a checksum; `extra` goes in its header."""
        header = {"format": FORMAT, "extra": json.dumps(dict(extra or {}))}
        write_tensors(Path(path), self.tensors(), header)

    @classmethod
    def load(cls, path: str | Path) -> tuple[Self, dict[str, object]]:
        """Read what `save` wrote; returns the memory and its `extra`.

        A file of the earlier format, which has no checksum, is read with a warning.

        Raises WorkbenchError: the file is missing, truncated, changed, or not a saved memory.
        """
        found = read_tensors(Path(path))
        earlier = found.metadata.get("format") == WITHOUT_CHECKSUM and not found.checked
        if earlier:
            warnings.warn(
                f"{path} has no checksum, as an earlier version wrote it: damage may go unnoticed",
                stacklevel=2,
            )
        elif found.metadata.get("format") != FORMAT or not found.checked:
            said = found.metadata.get("format")
            lacking = "" if found.checked or said != FORMAT else " without a checksum"
            raise WorkbenchError(
                f"{path} has format {said!r}{lacking}", FORMAT, "name a saved memory"
            )
        try:
            extra = parse_json(found.metadata["extra"], what=f"the header of {path}")
            if not isinstance(extra, dict):
                raise TypeError(f"a header that is a {type(extra).__name__}")
            return cls.from_tensors(found.tensors), extra
        except (KeyError, ValueError, TypeError) as error:
            raise WorkbenchError(
                f"{path} does not hold a memory ({error})",
                "the tensors that save wrote",
                "save the memory again",
            ) from None

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self).from_tensors({n: change(t) for n, t in self.tensors().items()})
