"""The settings of word problems."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from workbench.task_config import TaskConfig

MOST_OPERATIONS = 30
LARGEST = 1000
"""Values above it are rejected, unless they are taken modulo a smaller number."""


class GsmInfiniteConfig(TaskConfig):
    """Word problems after GSM-Infinite (arXiv 2502.05252): sums, products and distractors.

    Attributes
    ----------
    theme : {"farms", "libraries", "harbours"}
        The world that the problems are told in.
    d : {2, 3}
        2: counts of things in places, and their totals. 3: also averages per thing; a total is
        then the sum of counts times averages.
    min_operations, max_operations : int
        Range of op, the in-edges of everything that the answer depends on (a constant is one).
    constants : int
        Constants are drawn from 1 to this.
    modulus : int or None
        Values are taken modulo this number; None rejects negative values, zeros and those over
        1,000.
    length : int
        Tokens of the context; shorter problems are padded on the left, longer ones redrawn.
    noise : {"none", "official", "like_core"}
        Distractors that fill the context: none; half of them sums and differences, as in the
        benchmark; or with the same mix of sentences as the problem.
    places, things : int
        How many of the theme's places and things are used.
    totals : float or None
        Share of questions that ask for a total; None is the benchmark's share at each op.
    mode : {"forward", "reverse"}
        Reverse gives the quantity and asks for a constant that leads to it.
    question : {"first", "last"}
        Whether the question comes before the context, or after the last sleep.
    questions : int
        Questions about one context, each read alone after it; more than one needs "last".
    order : {"shuffled", "parents_first"}
        Order of the sentences: any, or none before those it depends on.
    answer : {"number", "digits"}
        Numbers are one token each, or one token a digit.
    difficulty : {"operations", "depth"}
        What accuracies are broken down by: op, or the longest chain of sentences to the answer.
    tokenizer : str
        "words": a token for each word; or a file of the library `tokenizers` (tokenizer.json), the
        name of a pretrained model, or hf:// and an id of the Hub. Numbers are then split as the
        tokenizer splits them.
    held_out : float or None
        Share of all graphs (what a problem looks like without names and numbers) that training
        never draws and every other stream draws alone.
    """

    common: ClassVar[tuple[str, ...]] = ("theme", "max_operations", "length", "noise")
    later: ClassVar[tuple[str, ...]] = ("tokenizer",)

    name: Literal["gsm_infinite"] = "gsm_infinite"
    theme: Literal["farms", "libraries", "harbours"] = "farms"
    d: Literal[2, 3] = 2
    min_operations: int = Field(2, ge=1, le=MOST_OPERATIONS)
    max_operations: int = Field(8, ge=1, le=MOST_OPERATIONS)
    constants: int = Field(4, ge=1, le=100)
    modulus: int | None = Field(None, ge=2, le=LARGEST)
    length: int = Field(2000, ge=16, le=100_000)
    noise: Literal["none", "official", "like_core"] = "none"
    places: int = Field(16, ge=2, le=16)
    things: int = Field(18, ge=2, le=18)
    totals: float | None = Field(None, ge=0, le=1)
    mode: Literal["forward", "reverse"] = "forward"
    question: Literal["first", "last"] = "first"
    questions: int = Field(1, ge=1, le=100)
    order: Literal["shuffled", "parents_first"] = "shuffled"
    answer: Literal["number", "digits"] = "number"
    difficulty: Literal["operations", "depth"] = "operations"
    tokenizer: str = Field("words", min_length=1, max_length=1000)
    held_out: float | None = Field(None, ge=0.01, le=0.99)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.min_operations > self.max_operations:
            raise ValueError(
                f"min_operations {self.min_operations} must be at most max_operations "
                f"{self.max_operations}"
            )
        if self.questions > 1 and (self.question == "first" or self.mode == "reverse"):
            raise ValueError(
                f'{self.questions} questions about one context need question = "last" and mode '
                '= "forward"'
            )
        if self.mode == "reverse" and self.modulus is not None:
            raise ValueError(
                f'mode = "reverse" with modulus {self.modulus}: a value modulo a number has '
                "more than one origin; leave the modulus out"
            )
        if self.answer == "digits" and self.tokenizer != "words":
            raise ValueError(
                f'answer = "digits" with tokenizer {self.tokenizer!r}: a tokenizer splits numbers '
                'in its own way; leave answer = "number"'
            )
        if self.constants > (self.modulus or LARGEST):
            raise ValueError(f"constants {self.constants} must be at most modulus {self.modulus}")
        return self
