"""Text of a pretrained model: its own tokenizer, from a file or from inside a GGUF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from workbench.backbones.sources import TEMPLATE, TOKENIZER, TOKENIZER_CONFIG, Source, needs_extra
from workbench.errors import WorkbenchError, one_line
from workbench.files import read_json, read_text


@dataclass(frozen=True)
class Turns:
    """What a chat puts around what is said: before the first turn, after an answer, before one."""

    first: str
    between: str
    answer: str


PLAIN: Final = Turns("", "\n", "\n")
"""Without a chat template."""


class Text:
    """Text to token numbers and back; `tokenizer` is one of the library tokenizers.

    `turns`: those of the chat template that comes with it; else `PLAIN`.
    """

    def __init__(self, tokenizer: Any, turns: Turns = PLAIN) -> None:
        self.tokenizer, self.turns = tokenizer, turns

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
            turns = _turns_in(source.folder)
            return Text(Tokenizer.from_file(str(source.folder / TOKENIZER)), turns)
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(
            source.folder, gguf_file=source.file, local_files_only=True
        )
        return Text(found.backend_tokenizer, turns_of(found.chat_template, found.eos_token))
    except Exception as error:  # the library raises plain Exception
        line = one_line(error, 200)
        raise WorkbenchError(
            f"{source.named} has no tokenizer that can be read ({line})",
            f"a {TOKENIZER}, or one inside a GGUF file",
            "fetch the model again",
        ) from None


def _turns_in(folder: Path) -> Turns:
    """Return the turns of the chat template in a folder, `PLAIN` without one."""
    path = folder / TOKENIZER_CONFIG
    config = read_json(path) if path.is_file() else {}
    template, end = config.get("chat_template"), config.get("eos_token")
    if isinstance(template, list):  # several, by name
        template = next((t["template"] for t in template if t["name"] == "default"), None)
    if (folder / TEMPLATE).is_file():
        template = read_text(folder / TEMPLATE)
    return turns_of(template, end["content"] if isinstance(end, dict) else end)


def turns_of(template: str | None, end: str | None) -> Turns:
    """Return what a chat template (Jinja, run in its sandbox) puts around two turns.

    `end`: the token that ends a text, which some templates use. The beginning of a text is left to
    the tokenizer.
    """
    if template is None:
        return PLAIN
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    said = [
        {"role": role, "content": f"{role}{number}"}
        for number, role in enumerate(("user", "assistant", "user"), 1)
    ]
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    text = environment.from_string(template).render(
        messages=said, add_generation_prompt=True, bos_token="", eos_token=end or ""
    )
    places = [text.find(one["content"]) for one in said]
    if not -1 < places[0] < places[1] < places[2]:
        raise ValueError("a chat template that leaves out what is said")
    stops = [place + len(one["content"]) for place, one in zip(places, said, strict=True)]
    return Turns(text[: places[0]], text[stops[1] : places[2]], text[stops[2] :])
