"""The settings of a task made from a data set of reasoning-gym."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from workbench.task_config import TaskConfig


class ReasoningGymConfig(TaskConfig):
    """A data set of reasoning-gym: its question is read, and its own scorer judges the answer.

    Attributes
    ----------
    dataset : str
        Name of the data set; the task "reasoning_gym:NAME" sets it.
    options : str
        Settings of the data set, by its own names: "min_terms = 2, max_terms = 3".
    level : int or None
        Level of the data set's curriculum, 0 being the easiest; `options` override it. None takes
        the data set's defaults.
    split : {"question", "sentence", "line", "none"}
        What is read awake: the last sentence that ends with a question mark and all that follows
        it, the last sentence, the last line, or nothing but a mark; everything before it is the
        context. Where that would leave no context, the whole item is the context.
    tokens : {"characters", "words"}
        Tokens are characters; or words seen in a survey of items, and characters for all else.
    context_length, question_length, answer_length : int
        Tokens at most; an item that is longer, or that has another character, is drawn again.
    difficulty : str
        A number in an item's metadata, such as "num_terms", by which accuracies are reported; empty
        is the number of the answer's tokens.
    """

    common: ClassVar[tuple[str, ...]] = ("dataset", "options", "context_length", "answer_length")
    after_colon: ClassVar[str] = "dataset"

    name: Literal["reasoning_gym"] = "reasoning_gym"
    dataset: str = Field("chain_sum", pattern=r"^[a-z0-9_]{1,60}$")
    options: str = Field("", max_length=2000)
    level: int | None = Field(None, ge=0, le=100)
    split: Literal["question", "sentence", "line", "none"] = "question"
    tokens: Literal["characters", "words"] = "characters"
    context_length: int = Field(256, ge=1, le=100_000)
    question_length: int = Field(128, ge=0, le=10_000)
    answer_length: int = Field(16, ge=1, le=10_000)
    difficulty: str = Field("", max_length=60)
