"""The settings of text."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from workbench.task_config import TaskConfig

CHARACTERS = "characters"


class TextConfig(TaskConfig):
    """Text, token by token: the names in it can only be known from memory.

    Attributes
    ----------
    corpus : str
        "kjv" (the King James Bible), "python" (Python's standard library), or the path of a UTF-8
        file or of a folder of such files. `workbench get corpora` prepares the first two.
    window : int
        Tokens between two boundaries. The first one after a boundary is given, not predicted.
    windows : int
        Windows of a sequence.
    names : {"kept", "swapped"}
        Swapped: in each sequence every proper name becomes a random pronounceable word, the same
        one throughout.
    recalled : int
        Fewest names of a sequence that return a window or more after their last mention; 0 takes
        text as it comes.
    drills : float
        Share of the sequences in training that are a few random names repeated over and over,
        instead of text: a first lesson in copying. Evaluation has none.
    tokenizer : str
        "characters"; or a file of the library `tokenizers` (tokenizer.json), the name
        of a pretrained model, or hf:// and an id of the Hub.
    """

    later: ClassVar[tuple[str, ...]] = ("drills", "tokenizer")
    common: ClassVar[tuple[str, ...]] = ("corpus", "names", "window", "windows")

    name: Literal["text"] = "text"
    corpus: str = Field("kjv", min_length=1, max_length=4096)
    window: int = Field(64, ge=2, le=2**20)
    windows: int = Field(6, ge=2, le=10_000)
    names: Literal["kept", "swapped"] = "swapped"
    recalled: int = Field(0, ge=0, le=10_000)
    drills: float = Field(0.0, ge=0, le=1)
    tokenizer: str = Field(CHARACTERS, min_length=1, max_length=1000)
