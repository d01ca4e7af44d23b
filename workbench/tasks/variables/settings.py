"""The settings of Variables."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from workbench.task_config import TaskConfig

LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
PLAIN = "words"
PEOPLE = tuple("Anna Bob Cleo Dan Eve Finn Gus Hana Ivo Jill Kit Lena Max Nora Otto Pia".split())


class VariablesConfig(TaskConfig):
    """Values that follow from each other: chains of small sums, every variable asked alone.

    Attributes
    ----------
    variables, names : int
        Variables of a problem, and the names they are drawn from.
    given : int
        Variables whose value is told; the others follow from them.
    modulus : int
        Values are 0 to this, exclusive.
    max_depth : int
        Longest chain: a given variable has depth 1.
    deepest : float
        Chance that a parent is the deepest variable that may have children, not just any.
    sums : float
        Share of the other variables that are sums of two parents.
    form : {"symbols", "words", "story"}
        ``b a +1``, or ``Bob has one more apple than Anna .``; a story has several wordings for the
        same, and asks ``How many apples does Bob have ?``
    question : {"alone", "first", "both"}
        Every variable alone after the context; one variable, named before the context; or both.
    order : {"shuffled", "parents_first"}
        Order of the sentences: any, or none before those it depends on.
    asides : int
        Sentences of a story that say nothing about the variables.
    parts : int
        Parts of equal length that the context is made of; no sentence crosses from one to the next.
        As many windows keep every sentence whole.
    tokenizer : str
        "words": a token for each word; or a file of the library `tokenizers` (tokenizer.json), the
        name of a pretrained model, or hf:// and an id of the Hub. Every word has to be a single
        token of it; names that are not are left out. A query is then ``Bob has``, and a number.
    """

    common: ClassVar[tuple[str, ...]] = ("variables", "max_depth", "form", "question")
    later: ClassVar[tuple[str, ...]] = ("asides", "parts", "tokenizer")

    name: Literal["variables"] = "variables"
    variables: int = Field(10, ge=2, le=26)
    names: int = Field(12, ge=2, le=26)
    given: int = Field(4, ge=1, le=26)
    modulus: int = Field(5, ge=2, le=100)
    max_depth: int = Field(4, ge=1, le=26)
    deepest: float = Field(0.8, ge=0, le=1)
    sums: float = Field(0.0, ge=0, le=1)
    form: Literal["symbols", "words", "story"] = "symbols"
    question: Literal["alone", "first", "both"] = "alone"
    order: Literal["shuffled", "parents_first"] = "shuffled"
    asides: int = Field(0, ge=0, le=100)
    parts: int = Field(1, ge=1, le=26)
    tokenizer: str = Field(PLAIN, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        most = len(LETTERS if self.form == "symbols" else PEOPLE)
        if not self.given <= self.variables <= self.names <= most:
            raise ValueError(
                f"given {self.given}, variables {self.variables} and names {self.names} must "
                f"ascend, up to the {most} names of form = {self.form!r}"
            )
        if self.asides and self.form != "story":
            raise ValueError(f"asides {self.asides} need form = 'story', not {self.form!r}")
        if self.tokenizer != PLAIN and (self.form, self.question) != ("words", "alone"):
            raise ValueError("a tokenizer needs form = 'words' and question = 'alone'")
        if self.parts > self.variables:
            raise ValueError(f"parts {self.parts} exceed the {self.variables} variables")
        if self.max_depth == 1 and self.given < self.variables:
            raise ValueError(f"max_depth 1 needs given = variables ({self.variables})")
        return self
