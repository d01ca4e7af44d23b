"""Text of a pretrained model: its own tokenizer, from a file or from inside a GGUF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from workbench.backbones.sources import TOKENIZER, Source, needs_extra
from workbench.errors import WorkbenchError, one_line


class Text:
    """Text to token numbers and back; `tokenizer` is one of the library tokenizers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str, *, special: bool = False) -> np.ndarray:
        """Return int64 ``[token]``; `special` adds what the tokenizer puts around a whole text."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=special).ids, dtype=np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of some tokens."""
        return str(self.tokenizer.decode([int(t) for t in tokens], skip_special_tokens=False))

    def writer(self) -> Callable[[int], str]:
        """Return a function that takes one token after the other and returns the text so far new.

        Empty while a character is not complete.
        """
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)
        return lambda token: stream.step(self.tokenizer, int(token)) or ""


def text_of(source: Source) -> Text:
    """Return the tokenizer of a model.

    Raises WorkbenchError: the package is missing, or the file is not a tokenizer.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise needs_extra(f"{source.named} without the package tokenizers") from None
    try:
        if source.file is None:
            return Text(Tokenizer.from_file(str(source.folder / TOKENIZER)))
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(
            source.folder, gguf_file=source.file, local_files_only=True
        )
        return Text(found.backend_tokenizer)
    except Exception as error:  # the library raises plain Exception
        line = one_line(error, 200)
        raise WorkbenchError(
            f"{source.named} has no tokenizer that can be read ({line})",
            f"a {TOKENIZER}, or one inside a GGUF file",
            "fetch the model again",
        ) from None
