"""Loading a pretrained model: described and refused before its weights are read, then checked."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from workbench.backbones.backbone import Backbone
from workbench.backbones.families import family_of
from workbench.backbones.sources import (
    BYTES,
    HUB,
    SMALL,
    Source,
    find_source,
    from_hub,
    needs_extra,
    read_config,
    shards_of,
)
from workbench.backbones.text import Text, text_of
from workbench.errors import WorkbenchError
from workbench.limits import available_memory, refuse_beyond_memory


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model in evaluation mode, with its tokenizer and where it is from."""

    name: str
    model: Backbone
    text: Text
    source: Source


def load_pretrained(
    name_or_folder: str | Path, *, device: str = "cpu", dtype: str = "float32"
) -> Pretrained:
    """Load a model of transformers: a folder, a GGUF file, a fetched name, ``hf://owner/name``.

    One line on standard error says, before the weights are read, what it needs and under which
    licence it is. `dtype`: "float32", "bfloat16" or "float16".

    Raises WorkbenchError: a file is missing or damaged, the architecture is not one that sleeps,
    there is no tokenizer, or memory is short; nothing is loaded then.
    """
    named = str(name_or_folder)
    if dtype not in BYTES:
        raise WorkbenchError(f"dtype = {dtype!r}", f"one of {', '.join(BYTES)}", "change it")
    if named.startswith(HUB):
        folder = from_hub(named.removeprefix(HUB), SMALL)
        family_of(read_config(folder)["model_type"], named)  # before gigabytes are fetched
        folder = from_hub(named.removeprefix(HUB), (*SMALL, *shards_of(folder)))
        source = replace(find_source(folder), named=named)
    else:
        source = find_source(name_or_folder)
    family_of(source.architecture, named)
    free = available_memory()
    if torch.device(device).type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    print(source.describe(dtype, free), file=sys.stderr)
    fix = "close other programs, use dtype='bfloat16', or choose a smaller model"
    refuse_beyond_memory(source.needs(dtype), named, fix, room=free)
    text = text_of(source)
    base = _weights(source, getattr(torch, dtype))
    return Pretrained(named, Backbone(base).to(device).eval().requires_grad_(False), text, source)


def _weights(source: Source, dtype: torch.dtype) -> Any:
    """Read the weights into a model of transformers; refuse it if any are missing."""
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise needs_extra(f"{source.named} without the package transformers") from None
    # never pickled weights
    given = {"use_safetensors": True} if source.file is None else {"gguf_file": source.file}
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=dtype,
            attn_implementation="sdpa",
            local_files_only=True,
            output_loading_info=True,
            **given,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        line = " ".join(str(error).split())[:200]
        raise WorkbenchError(
            f"{source.named} cannot be loaded ({line})",
            "weights and configuration of one model",
            "fetch it again",
        ) from None
    if missing := sorted(info["missing_keys"]):
        raise WorkbenchError(
            f"{source.named} lacks {missing[0]} and {len(missing) - 1} more weights",
            "all weights of the configured model",
            "fetch it again",
        )
    return model
