"""Files of tensors that carry their own SHA-256: safetensors, in which every bit is checked.

The file's metadata has an entry ``sha256``: the SHA-256 of the whole file with 64 zeros in the
place of those digits.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.errors import WorkbenchError, one_line
from workbench.files import LIMIT, open_regular, written_aside
from workbench.limits import refuse_beyond_memory

BLANK = "0" * 64
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')


class TensorFile(NamedTuple):
    """What a file of tensors holds."""

    tensors: dict[str, Tensor]
    """On the CPU."""
    metadata: dict[str, str]
    """Without the checksum."""
    checked: bool
    """Whether the file has a checksum; it is then right."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors with a checksum over all of it, aside first and then renamed."""
    from safetensors.torch import save_file

    # layers may share a tensor (a mask), which safetensors refuses: each gets a copy
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with written_aside(path) as aside:
        save_file(copies, aside, metadata={**metadata, "sha256": BLANK})
        _, digest, start = _digests(aside)
        with aside.open("r+b") as file:
            file.seek(start)
            file.write(digest.encode())


def read_tensors(path: Path) -> TensorFile:
    """Read a file of tensors, with or without a checksum.

    Raises WorkbenchError: the file is missing or not a regular file, is truncated or of another
    kind, or its checksum is wrong.
    """
    from safetensors import SafetensorError, safe_open

    stored, digest, _ = _digests(path)
    if stored is not None and stored != digest:
        raise WorkbenchError(
            f"{path} is not the file that was written (its SHA-256 differs)",
            f"{stored}, as its header says",
            "it is truncated or was changed: use another copy, or write it again",
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from None
    metadata.pop("sha256", None)
    return TensorFile(tensors, metadata, stored is not None)


def _digests(path: Path) -> tuple[str | None, str, int]:
    """Return the checksum that a file has, the one it should have, and where the first stands."""
    with open_regular(path) as file:
        needed = os.fstat(file.fileno()).st_size  # its tensors take no more, and nearly as much
        refuse_beyond_memory(needed, f"what {path} holds", "remove or replace it")
        size = file.read(8)
        length = int.from_bytes(size, "little")
        header = file.read(length) if len(size) == 8 and length <= LIMIT else b""
        if not header or len(header) < length:
            raise _damaged(path, "its header is incomplete")
        found = list(_DIGEST.finditer(header))
        if len(found) > 1:
            raise _damaged(path, "it has several checksums")
        start, stop = found[0].span(1) if found else (0, 0)
        total = hashlib.sha256(size + header[:start] + BLANK[: stop - start].encode())
        total.update(header[stop:])
        while part := file.read(2**20):
            total.update(part)
    return (found[0][1].decode() if found else None), total.hexdigest(), 8 + start


def _damaged(path: Path, reason: str) -> WorkbenchError:
    return WorkbenchError(
        f"{path} cannot be read ({one_line(reason, 200)})",
        "a whole safetensors file",
        "it is truncated or of another kind: use another copy, or write it again",
    )
