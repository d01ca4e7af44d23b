"""Tokenizers that the user names: a file of the library `tokenizers`, or an id of the Hub.

The library is imported when one is named.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from workbench.errors import WorkbenchError
from workbench.files import Stamp, read_text, stamp

HUB: Final = "hf://"
MOST_SYMBOLS: Final = 2**20


def symbols_of(tokenizer: Any, named: str) -> tuple[str, ...]:
    """Return the symbol of each token number; raises WorkbenchError where there are too many."""
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if size > MOST_SYMBOLS:
        raise WorkbenchError(
            f"task.tokenizer = {named!r}, which numbers a token {size - 1:,}",
            f"numbers below {MOST_SYMBOLS:,}, as each is a row of the model",
            "choose another tokenizer",
        )
    found = (tokenizer.id_to_token(number) for number in range(size))
    return tuple(f"<{number}>" if one is None else one for number, one in enumerate(found))


def check_kept(named: str, text: str, back: str) -> None:
    """Raise WorkbenchError where a tokenizer does not give a text back as it was."""
    if back != text:
        raise WorkbenchError(
            f"task.tokenizer = {named!r}, which turns {text!r} into {back!r}",
            "a tokenizer that gives a text back as it was",
            "choose one that keeps case and spaces, such as a byte-level BPE",
        )


def load_tokenizer(named: str) -> Any:
    """Return a tokenizer from a file, or from the Hub where the user names an id."""
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise WorkbenchError(
            "task.tokenizer without the package tokenizers",
            "the extra `hf`",
            "pip install -c constraints.txt -e '.[hf]'",
        ) from None
    if not named.startswith(HUB):
        path = Path(named)
        return _from_file(path, stamp(path))
    try:
        return Tokenizer.from_pretrained(named.removeprefix(HUB))
    except Exception as error:  # of the Hub's client: any of several
        line = " ".join(str(error).split())[:200]
        raise WorkbenchError(
            f"task.tokenizer = {named!r} cannot be fetched ({line})",
            "an id of the Hub",
            "check the id and the network",
        ) from None


@lru_cache(maxsize=4)
def _from_file(path: Path, _: Stamp) -> Any:
    """Return the tokenizer in a file; read again when the file has changed."""
    from tokenizers import Tokenizer

    text = read_text(path)
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        line = " ".join(str(error).split())[:200]
        raise WorkbenchError(
            f"task.tokenizer = {str(path)!r} is not a tokenizer ({line})",
            "a tokenizer.json of the library tokenizers",
            "name another file",
        ) from None
