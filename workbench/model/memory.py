"""What survives between calls: fast weights, convolution tails and KV cache, in one object.

Nothing else carries state between passes or windows. Values are never changed in place: a pass
takes a memory and returns another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.files import written_aside

FORMAT = "sleep-memory/1"


@dataclass(frozen=True)
class KVCache:
    """Keys and values of one attention layer, not yet rotated.

    Positions start anew in every window, so that nothing but the cache itself crosses an
    eviction; RoPE depends on differences of positions alone.

    Attributes
    ----------
    keys, values : Tensor
        ``[batch, attn_head, token, channel / attn_head]``.
    valid : Tensor
        bool ``[batch, token]``; False where the token is padding.
    """

    keys: Tensor
    values: Tensor
    valid: Tensor

    def newest(self, tokens: int) -> KVCache:
        """Return the cache of the newest `tokens` tokens."""
        start = max(self.keys.shape[2] - tokens, 0)
        return KVCache(self.keys[:, :, start:], self.values[:, :, start:], self.valid[:, start:])


@dataclass(frozen=True)
class Memory:
    """Everything a model carries, by layer index.

    Attributes
    ----------
    fast_weights : dict of int to Tensor
        S of each fast-weight layer, ``[batch, gdn_head, key, value]``, float32.
    conv_tails : dict of int to Tensor
        Last inputs of each short convolution, ``[batch, taps - 1, channel]``.
    kv : dict of int to KVCache
        Cache of each attention layer; empty after a hard eviction.
    """

    fast_weights: Mapping[int, Tensor] = field(default_factory=dict)
    conv_tails: Mapping[int, Tensor] = field(default_factory=dict)
    kv: Mapping[int, KVCache] = field(default_factory=dict)

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
        """Build a memory from what `tensors` returned."""
        fast_weights, conv_tails = {}, {}
        caches: dict[int, dict[str, Tensor]] = {}
        for name, tensor in named.items():
            part, layer, *rest = name.split(".")
            if part == "fast_weights":
                fast_weights[int(layer)] = tensor
            elif part == "conv_tails":
                conv_tails[int(layer)] = tensor
            else:
                caches.setdefault(int(layer), {})[rest[0]] = tensor
        return cls(fast_weights, conv_tails, {i: KVCache(**c) for i, c in caches.items()})

    def save(self, path: str | Path, extra: Mapping[str, object] | None = None) -> None:
        """Write a safetensors file, aside first and then renamed; `extra` goes in its header."""
        from safetensors.torch import save_file

        header = {"format": FORMAT, "extra": json.dumps(dict(extra or {}))}
        # layers may share a tensor (a mask), which safetensors refuses: each gets a copy
        copies = {
            name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in self.tensors().items()
        }
        with written_aside(Path(path)) as aside:
            save_file(copies, aside, metadata=header)

    @classmethod
    def load(cls, path: str | Path) -> tuple[Self, dict[str, object]]:
        """Read what `save` wrote; returns the memory and its `extra`.

        Raises
        ------
        WorkbenchError
            The file is missing, truncated, or not a saved memory.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                named = {name: file.get_tensor(name) for name in file.keys()}
        except FileNotFoundError:
            raise WorkbenchError(
                f"no memory file at {path}", "a file written by save", "check the path"
            ) from None
        except (OSError, SafetensorError) as error:
            raise WorkbenchError(
                f"{path} cannot be read ({error})",
                "a whole safetensors file",
                "it is truncated or of another kind: save the memory again",
            ) from None
        if header.get("format") != FORMAT:
            raise WorkbenchError(
                f"{path} has format {header.get('format')!r}", FORMAT, "name a saved memory"
            )
        try:
            return cls.from_tensors(named), json.loads(header["extra"])
        except (KeyError, ValueError, TypeError) as error:
            raise WorkbenchError(
                f"{path} holds something else than a memory ({error})",
                "the tensors that save wrote",
                "save the memory again",
            ) from None

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self).from_tensors({n: change(t) for n, t in self.tensors().items()})
