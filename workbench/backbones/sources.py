"""Where the weights of a pretrained model are, and what is known before they are read.

A folder of transformers, a GGUF file, a name of what `workbench get` fetched, or ``hf://owner/name``,
which alone uses the network. Nothing here loads torch or transformers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

from workbench.errors import WorkbenchError, one_line
from workbench.files import open_regular, parse_json, read_bytes, read_json
from workbench.limits import in_words
from workbench.paths import bundled_checkpoints, models_folder
from workbench.terminal import printable

HUB: Final = "hf://"
CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"
ONE: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
TEMPLATE: Final = "chat_template.jinja"
ADAPTER: Final = "adapter_config.json"
CARD: Final = "README.md"
OURS: Final = "provenance.json"
"""What a checkpoint of the workbench has in addition."""
SMALL: Final = (
    CONFIG, INDEX, TOKENIZER, TOKENIZER_CONFIG, TEMPLATE, CARD, ADAPTER, "LICENSE*",
    "generation_config.json",
)  # fmt: skip
"""What is fetched before the weights, so that a wrong model is refused while it is cheap."""

FETCHED: Final = {"smollm2-135m": "SmolLM2-135M-Instruct.Q4_1.gguf"}
"""File of each name that `workbench get` knows."""

LONGEST: Final = 100 * 2**20
"""Most bytes of a shard's header, the limit of safetensors itself."""

_ONE_AT_A_TIME = Lock()

BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Dtypes to load in, and bytes of each number."""


@dataclass(frozen=True)
class Source:
    """A model that can be loaded, as far as its headers say.

    `named`: by the user. `folder`, `file`: where it is; the file is a GGUF's name, else None.
    `architecture`: `model_type` of its configuration. `licence`: None if none is found.
    """

    named: str
    folder: Path
    file: str | None
    architecture: str
    parameters: int
    licence: str | None

    def needs(self, dtype: str) -> int:
        """Return the bytes that loading takes at least; a GGUF's weights are held twice."""
        return self.parameters * BYTES[dtype] * (2 if self.file else 1)

    def describe(self, dtype: str, free: int, terms: str | None = None) -> str:
        """Return one line: what it is, what it needs, and under which licence.

        `terms`: what has to be known about the licence of its family.
        """
        licence = self.licence or "none found; ask the authors before you use or share it"
        licence = f"{licence} ({terms})" if terms else licence
        return printable(
            f"{self.named}: {self.architecture}, {self.parameters / 1e6:,.1f} M parameters; needs "
            f"{in_words(self.needs(dtype))} in {dtype}, {in_words(free)} free; licence: {licence}"
        )


def is_pretrained(name_or_folder: str | Path) -> bool:
    """Whether this names a model of transformers, rather than a checkpoint of the workbench.

    Of a Hub repository two small files are fetched to find out.
    """
    path = Path(name_or_folder)
    if str(name_or_folder).startswith(HUB):
        path = from_hub(str(name_or_folder).removeprefix(HUB), (CONFIG, OURS))
    elif name_or_folder in bundled_checkpoints():
        return False  # whatever a folder here is called
    if str(name_or_folder) in FETCHED or path.suffix == ".gguf":
        return True
    try:
        if not path.is_dir() or (path / OURS).exists():
            return False
        return any((path / name).exists() for name in (CONFIG, INDEX, TOKENIZER))
    except (OSError, ValueError) as error:  # too long for a path, or with a null character
        raise WorkbenchError(
            f"{printable(str(name_or_folder))[:60]!r} is not a path ({one_line(error, 60)})",
            "a name, a folder, a GGUF file or hf://owner/name",
            "name another",
        ) from None


def find_source(name_or_folder: str | Path) -> Source:
    """Return the model in a folder or a GGUF file, or of a name, with all its headers checked.

    Raises WorkbenchError: a file is missing, truncated or of another kind.
    """
    named = str(name_or_folder)
    path = models_folder() / FETCHED[named] if named in FETCHED else Path(name_or_folder)
    if named in FETCHED and not path.is_file():
        raise WorkbenchError(
            f"{named} is not at {path}", "its file", "run `workbench get smollm2`, which fetches it"
        )
    if path.suffix == ".gguf":
        return _of_gguf(named, path)
    config = read_config(path)
    if not (path / TOKENIZER).is_file():
        raise WorkbenchError(
            f"{path} has no tokenizer", f"a {TOKENIZER}", "add the one of the model"
        )
    if missing := [name for name in shards_of(path) if not (path / name).is_file()]:
        raise WorkbenchError(
            f"{path} lacks {', '.join(missing[:3])}",
            "its weights as safetensors",
            "fetch the model again",
        )
    shapes = shapes_in(path)
    _check_layers(path / CONFIG, config, len(shapes))
    parameters = sum(math.prod(s) for name, s in shapes.items() if not is_left_out(name))
    return Source(named, path, None, config["model_type"], parameters, _licence_of(path))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a folder, whose `model_type` is a text."""
    path = folder / CONFIG
    if not path.is_file():
        raise WorkbenchError(f"{folder} has no {CONFIG}", "a model of transformers", "add it")
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise WorkbenchError(
            f"{path} names no model_type", "the configuration of a model", "fetch it again"
        )
    # either would make transformers read weights that were not checked
    if "transformers_weights" in config or (folder / ADAPTER).exists():
        raise WorkbenchError(
            f"{folder} names weights elsewhere (transformers_weights, or {ADAPTER})",
            f"all weights in {ONE} or in the shards of {INDEX}",
            "merge the adapter into the model, or remove the entry",
        )
    return config


def shards_of(folder: Path) -> list[str]:
    """Return the names of the files that a folder's weights are in, there or not."""
    if (folder / ONE).is_file() or not (folder / INDEX).is_file():
        return [ONE]  # of the two transformers reads this one
    index = read_json(folder / INDEX)
    table = index.get("weight_map") if isinstance(index, dict) else None
    names = sorted(set(map(str, table.values()))) if isinstance(table, dict) else []
    if not names or not all(re.fullmatch(r"[\w.-]{1,200}\.safetensors", name) for name in names):
        raise WorkbenchError(
            f"{folder / INDEX} lists no files of weights", "an index of shards", "fetch it again"
        )
    return names


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a folder's shards; refuse one that is not whole."""
    return {n: shape for name in shards_of(folder) for n, shape in _shapes(folder / name).items()}


def _shapes(shard: Path) -> dict[str, tuple[int, ...]]:
    with open_regular(shard) as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= LONGEST else b""
        size = file.seek(0, 2)
    if not header or len(header) < length:
        raise _damaged(shard, "its header is incomplete")
    found = parse_json(header, what=f"the header of {shard}")
    try:
        tensors = {n: t for n, t in found.items() if n != "__metadata__"}
        whole = 8 + length + max((t["data_offsets"][1] for t in tensors.values()), default=0)
        shapes = {name: tuple(t["shape"]) for name, t in tensors.items()}
        count = sum(map(math.prod, shapes.values()))
    except (AttributeError, KeyError, TypeError, IndexError):
        raise _damaged(shard, "its header lists no tensors") from None
    if size != whole or not 0 <= count <= 2 * size:
        raise _damaged(shard, f"it has {size:,} of {whole:,} bytes")
    return shapes


def _check_layers(path: Path, config: dict[str, Any], tensors: int) -> None:
    """Refuse more layers than there are tensors: to build a million of them takes for ever."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        layers = part.get("num_hidden_layers")
        if isinstance(layers, int) and layers > tensors:
            raise WorkbenchError(
                f"{path} says num_hidden_layers = {layers:,}",
                f"at most the {tensors:,} tensors of its weights",
                "fetch the model again",
            )


def is_left_out(tensor: str) -> bool:
    """Whether a tensor belongs to a part that is not read: an image tower, or further heads."""
    return re.match(r"(model\.)?visual\.|mtp\.", tensor) is not None


def _damaged(path: Path, reason: str) -> WorkbenchError:
    return WorkbenchError(
        f"{path} cannot be read ({one_line(reason, 200)})",
        "a whole file",
        "it is truncated or of another kind: fetch it again",
    )


def _of_gguf(named: str, path: Path) -> Source:
    with open_regular(path) as file:  # reported in our words if it is missing or no file
        if file.read(4) != b"GGUF":
            raise _damaged(path, "it does not begin as a GGUF file")
    try:
        from gguf import GGUFReader
    except ImportError:
        raise needs_extra(f"{path} without the package gguf") from None
    try:
        reader = GGUFReader(str(path))
        about = ("general.architecture", "general.license", "tokenizer.ggml.model")
        architecture, licence, tokenizer = (_text_in(reader, name) for name in about)
        parameters = sum(int(tensor.n_elements) for tensor in reader.tensors)
        layers = reader.get_field(f"{architecture}.block_count")
        counted = {} if layers is None else {"num_hidden_layers": int(layers.contents())}
    except (ValueError, IndexError, KeyError, OSError, OverflowError, MemoryError) as error:
        raise _damaged(path, str(error)) from None
    _check_layers(path, counted, len(reader.tensors))
    if tokenizer is None:
        raise WorkbenchError(f"{path} has no tokenizer", "one inside the file", "choose another")
    return Source(named, path.parent, path.name, architecture or "", parameters, licence)


@contextmanager
def parsed_once(named: str) -> Iterator[None]:
    """Parse a GGUF file once while it is loaded: transformers would do so three times more."""
    if named not in FETCHED and not named.endswith(".gguf"):
        yield
        return
    try:
        import gguf
    except ImportError:
        raise needs_extra(f"{named} without the package gguf") from None
    library: Any = gguf
    with _ONE_AT_A_TIME:
        theirs = library.GGUFReader, library.get_tensor_name_map
        library.GGUFReader, library.get_tensor_name_map = map(cache, theirs)
        try:
            yield
        finally:
            library.GGUFReader, library.get_tensor_name_map = theirs


def _text_in(reader: Any, name: str) -> str | None:
    field = reader.get_field(name)
    return None if field is None else str(field.contents())


def _licence_of(folder: Path) -> str | None:
    """Return the licence that a folder's card names, else the first line of its licence file."""
    card = _words(folder / CARD).split("---") if (folder / CARD).is_file() else []
    head = card[1] if len(card) > 2 and not card[0].strip() else ""
    for name in ("license_name", "license"):
        if found := re.search(rf"^{name}:[ \t]*(\S.*)$", head, re.MULTILINE):
            return found[1].strip()[:80]
    for path in sorted(path for path in folder.glob("LICENSE*") if path.is_file()):
        first = next((line.strip() for line in _words(path).splitlines() if line.strip()), None)
        if first:
            return f"{path.name}, which begins {first[:60]!r}"
    return None


def _words(path: Path) -> str:
    """Return a text in whatever encoding: a licence in Latin-1 is a licence."""
    return read_bytes(path).decode("utf-8", "replace")


def from_hub(repository: str, patterns: tuple[str, ...]) -> Path:
    """Fetch files of a Hub repository that the user named; return their folder."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise needs_extra(f"{HUB}{repository} without the package huggingface_hub") from None
    try:
        return Path(snapshot_download(repository, allow_patterns=list(patterns)))
    except Exception as error:  # of the Hub's client: any of several
        line = one_line(error, 200)
        raise WorkbenchError(
            f"{HUB}{repository} cannot be fetched ({type(error).__name__}: {line})",
            "a reachable Hub repository with a checkpoint",
            "check the id and the network",
        ) from error


def needs_extra(given: str) -> WorkbenchError:
    """Return the error of a package of the extra `hf` that is not installed."""
    return WorkbenchError(given, "the optional extra 'hf'", "pip install 'sleep-workbench[hf]'")
