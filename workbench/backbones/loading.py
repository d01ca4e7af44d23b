"""Loading a pretrained model: described and refused before its weights are read, then checked."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.backbones.backbone import Backbone
from workbench.backbones.families import family_of
from workbench.backbones.shards import read_decoder, refuse_others, settings_of
from workbench.backbones.sources import (
    BYTES,
    HUB,
    SMALL,
    Source,
    find_source,
    from_hub,
    is_left_out,
    needs_extra,
    parsed_once,
    read_config,
    shards_of,
)
from workbench.backbones.text import Text, text_of
from workbench.errors import WorkbenchError, one_line
from workbench.limits import available_memory, refuse_beyond_memory


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model in evaluation mode, with its tokenizer and where it is from."""

    name: str
    model: Backbone
    text: Text
    source: Source


def configuration_of(source: Source) -> Any:
    """Return the configuration of a model, without its weights: transformers', or ours."""
    if kind := family_of(source.architecture, source.named).ours:
        return settings_of(kind, source.folder)
    try:
        from transformers import AutoConfig
    except ImportError:
        raise needs_extra(f"{source.named} without the package transformers") from None
    given = {} if source.file is None else {"gguf_file": source.file}
    return AutoConfig.from_pretrained(source.folder, local_files_only=True, **given)


def load_pretrained(
    name_or_folder: str | Path, *, device: str = "cpu", dtype: str = "float32"
) -> Pretrained:
    """Load a pretrained model: a folder, a GGUF file, a fetched name, ``hf://owner/name``.

    One line on standard error says, before the weights are read, what it needs and under which
    licence it is. `dtype`: "float32", "bfloat16" or "float16".

    Raises WorkbenchError: a file is missing or damaged, the architecture is not one that sleeps,
    there is no tokenizer, or memory is short; nothing is loaded then.
    """
    with parsed_once(str(name_or_folder)):
        return _load(str(name_or_folder), device, dtype)


def _load(named: str, device: str, dtype: str) -> Pretrained:
    if dtype not in BYTES:
        raise WorkbenchError(f"dtype = {dtype!r}", f"one of {', '.join(BYTES)}", "change it")
    if named.startswith(HUB):
        folder = from_hub(named.removeprefix(HUB), SMALL)
        family_of(read_config(folder)["model_type"], named)  # before gigabytes are fetched
        folder = from_hub(named.removeprefix(HUB), (*SMALL, *shards_of(folder)))
        source = replace(find_source(folder), named=named)
    else:
        source = find_source(named)
    family = family_of(source.architecture, named)
    free = available_memory()
    if torch.device(device).type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    print(source.describe(dtype, free, family.terms), file=sys.stderr)
    fix = "close other programs, use dtype='bfloat16', or choose a smaller model"
    refuse_beyond_memory(source.needs(dtype), named, fix, room=free)
    text = text_of(source)
    wanted = getattr(torch, dtype)
    base = read_decoder(family.ours, source, wanted) if family.ours else _weights(source, wanted)
    _refuse_infinite(source.named, base)
    return Pretrained(named, Backbone(base).to(device).eval().requires_grad_(False), text, source)


def _weights(source: Source, dtype: torch.dtype) -> Any:
    """Read the weights into a model of transformers; refuse it if any are missing."""
    try:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError:
        raise needs_extra(f"{source.named} without the package transformers") from None
    # never pickled weights
    given = {"use_safetensors": True} if source.file is None else {"gguf_file": source.file}
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)  # what its report says is an error of one line here
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=dtype,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **given,
        )
    except Exception as error:  # a wrong configuration fails anywhere in their code
        line = one_line(error, 200)
        raise WorkbenchError(
            f"{source.named} cannot be loaded ({line})",
            "weights and configuration of one model",
            "fetch it again",
        ) from None
    finally:
        logging.set_verbosity(verbosity)
    left_over = [name for name in info["unexpected_keys"] if not is_left_out(name)]
    refuse_others(source.named, info["missing_keys"], left_over)
    return model


def _refuse_infinite(named: str, model: nn.Module) -> None:
    for name, weight in model.state_dict().items():
        ends = torch.stack(weight.aminmax()).float()  # of NaN both are NaN
        if not torch.isfinite(ends).all():
            raise WorkbenchError(
                f"{named} has NaN or infinite values in {name}",
                f"numbers that are finite in {weight.dtype}",
                "fetch it again; a float16 that overflows fits in dtype='bfloat16'",
            )
