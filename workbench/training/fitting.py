"""Whether tensors from a file fit a model: names, shapes, dtypes, and finite everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from workbench.config import ModelConfig
from workbench.errors import WorkbenchError
from workbench.model import HybridModel


def expected_weights(config: ModelConfig) -> dict[str, Tensor]:
    """Return a model's weights as far as names, shapes and dtypes go; they take no memory.

    Blocks of one kind are alike, so that one of each is built, however many there are.
    """
    kinds = tuple(dict.fromkeys(config.layers))
    with torch.device("meta"):
        one = HybridModel(config.model_copy(update={"layers": kinds})).state_dict()
    blocks = {
        kind: [(n.removeprefix(start), t) for n, t in one.items() if n.startswith(start)]
        for kind, start in ((kind, f"stack.{i}.") for i, kind in enumerate(kinds))
    }
    rest = {name: tensor for name, tensor in one.items() if not name.startswith("stack.")}
    return rest | {
        f"stack.{i}.{name}": tensor
        for i, kind in enumerate(config.layers)
        for name, tensor in blocks[kind]
    }


def check_fits(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, *, fix: str
) -> None:
    """Check the tensors of a file against those of a model; `path` and `fix` are for the error.

    PyTorch itself would cast int8, complex and float64 weights silently. Raises WorkbenchError:
    tensors are missing or unknown, or one has another shape or dtype, or a NaN or infinity.
    """
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    if missing or unknown:
        parts = [f"lacks {_some(missing)}"] if missing else []
        parts += [f"has the unknown {_some(unknown)}"] if unknown else []
        raise _unfit(path, " and ".join(parts), "the tensors of the configured model", fix)
    for name, wanted in expected.items():
        tensor = found[name]
        if tensor.shape != wanted.shape:
            given = f"has {name} of shape {list(tensor.shape)}"
            raise _unfit(path, given, f"{list(wanted.shape)}", fix)
        if tensor.dtype != wanted.dtype:
            given = f"has {name} in {_dtype(tensor)}"
            raise _unfit(path, given, f"{_dtype(wanted)}, in which the model runs", fix)
    check_finite(found, path, fix=fix)


def check_finite(tensors: Mapping[str, Tensor], path: Path, *, fix: str) -> None:
    """Raise WorkbenchError if a tensor holds a NaN or an infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            given = f"has {count:,} of {tensor.numel():,} values of {name} NaN or infinite"
            raise _unfit(path, given, "finite numbers", fix)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(name[:60] for name in names[:2]) + more


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _unfit(path: Path, given: str, expected: str, fix: str) -> WorkbenchError:
    return WorkbenchError(f"{path} does not fit the model (it {given})", expected, fix)
