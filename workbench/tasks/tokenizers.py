"""Tokenizers that the user names: a file of the library `tokenizers`, an id of the Hub, or a model.

The library is imported when one is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from workbench.backbones.sources import FETCHED, TOKENIZER, find_source
from workbench.backbones.text import text_of
from workbench.errors import WorkbenchError, one_line
from workbench.files import Stamp, read_text, stamp

HUB: Final = "hf://"
MOST_SYMBOLS: Final = 2**20


class Tokenizer:
    """A tokenizer that gives every text back as it was, ``named`` in the settings.

    `samples`: texts to try that on; with `stripped`, white space around them may change. Raises
    WorkbenchError: it cannot be loaded, changes a sample, or has too many symbols.
    """

    def __init__(self, named: str, samples: Iterable[str], *, stripped: bool = False) -> None:
        self.named, self._library = named, load_tokenizer(named)
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        size = 1 + max(vocabulary.values(), default=-1)
        if size > MOST_SYMBOLS:
            raise WorkbenchError(
                f"task.tokenizer = {named!r}, which numbers a token {size - 1:,}",
                f"numbers below {MOST_SYMBOLS:,}, as each is a row of the model",
                "choose another tokenizer",
            )
        found = (self._library.id_to_token(number) for number in range(size))
        self.symbols = tuple(f"<{n}>" if one is None else one for n, one in enumerate(found))
        self.ids: dict[str, int] = vocabulary
        """The number of each symbol."""
        for text in samples:
            back = self.decode(self.encode(text).ids)
            back = back.strip() if stripped else back
            if back != text:
                raise WorkbenchError(
                    f"task.tokenizer = {named!r}, which turns {text!r} into {back!r}",
                    "a tokenizer that gives a text back as it was",
                    "choose one that keeps case and spaces, such as a byte-level BPE",
                )

    def encode(self, text: str) -> Any:
        """Return the tokens of a text: ``ids``, and ``offsets`` in it."""
        return self._library.encode(text, add_special_tokens=False)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return str(self._library.decode(list(tokens), skip_special_tokens=False))


def load_tokenizer(named: str) -> Any:
    """Return a tokenizer from a file, of a pretrained model, or from the Hub by an id."""
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise WorkbenchError(
            "task.tokenizer without the package tokenizers",
            "the extra `hf`",
            "pip install -c constraints.txt -e '.[hf]'",
        ) from None
    if named in FETCHED or named.endswith(".gguf"):
        return _of_model(named)
    if not named.startswith(HUB):
        path = Path(named)
        path = path / TOKENIZER if path.is_dir() else path
        return _from_file(path, stamp(path))
    try:
        return tokenizers.Tokenizer.from_pretrained(named.removeprefix(HUB))
    except Exception as error:  # of the Hub's client: any of several
        given = f"task.tokenizer = {named!r} cannot be fetched ({one_line(error, 200)})"
        raise WorkbenchError(given, "an id of the Hub", "check the id and the network") from None


@lru_cache(maxsize=4)
def _of_model(named: str) -> Any:
    """Return the tokenizer inside a GGUF file, which takes seconds to make."""
    return text_of(find_source(named)).tokenizer


@lru_cache(maxsize=4)
def _from_file(path: Path, _: Stamp) -> Any:
    """Return the tokenizer in a file; read again when the file has changed."""
    import tokenizers

    text = read_text(path)
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise WorkbenchError(
            f"task.tokenizer = {str(path)!r} is not a tokenizer ({one_line(error, 200)})",
            "a tokenizer.json of the library tokenizers",
            "name another file, or a pretrained model such as smollm2-135m",
        ) from None
