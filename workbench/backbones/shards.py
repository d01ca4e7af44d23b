"""The weights of our own decoders, from the safetensors of a folder: all of them, or none."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch

from workbench.backbones.decoder import Decoder, Settings
from workbench.backbones.sources import CONFIG, Source, read_config, shapes_in, shards_of
from workbench.errors import WorkbenchError, one_line
from workbench.validation import build


def read_decoder(kind: type[Decoder], source: Source, dtype: torch.dtype) -> Decoder:
    """Build a model by its configuration and read its weights, shard by shard.

    Names and shapes are compared before any weight is read. Raises WorkbenchError: they differ, the
    configuration is not one of this architecture, or a file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    folder = source.folder
    config = settings_of(kind, folder)
    with torch.device("meta"):
        model = kind(config)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    found = shapes_in(folder)
    if config.tie_word_embeddings:  # the head is the embedding, whether it is stored again or not
        for shapes in (expected, found):
            shapes.pop("lm_head.weight", None)
    refuse_others(source.named, expected.keys() - found, found.keys() - expected)
    for name, shape in expected.items():
        if found[name] != shape:
            raise WorkbenchError(
                f"{source.named} has {name} of shape {found[name]}",
                f"{shape}, as {CONFIG} says",
                "use weights and configuration of one model",
            )
    for shard in shards_of(folder):
        try:
            with safe_open(folder / shard, framework="pt") as file:
                names = [name for name in file.keys() if name in expected]
                weights = {name: file.get_tensor(name).to(dtype) for name in names}
        except (OSError, SafetensorError, ValueError, OverflowError) as error:
            line = one_line(error, 200)
            raise WorkbenchError(
                f"{folder / shard} cannot be read ({line})", "a whole file", "fetch it again"
            ) from None
        model.load_state_dict(weights, strict=False, assign=True)
    model.tie()
    return model


def settings_of(kind: type[Decoder], folder: Path) -> Settings:
    """Return what a folder's configuration says; raise WorkbenchError if it does not fit."""
    return build(kind.settings, read_config(folder), source=str(folder / CONFIG))


def refuse_others(named: str, missing: Collection[str], surplus: Collection[str]) -> None:
    """Raise WorkbenchError, which names the first, if weights are missing or left over."""
    for verb, names in (("lacks", sorted(missing)), ("also has", sorted(surplus))):
        if names:
            raise WorkbenchError(
                f"{named} {verb} {names[0]} and {len(names) - 1} more weights",
                "exactly the weights of the configured model",
                "fetch it again",
            )
