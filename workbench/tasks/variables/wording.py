"""How the sentences of Variables are worded, and read back."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from workbench.errors import WorkbenchError
from workbench.tasks.phrases import shortened

Wordings = dict[str, tuple[str, ...]]
"""Of each kind of sentence, the ways to word it."""

ASK = "?"
GIVEN, SUM, ASIDE = "given", "sum", "aside"
KINDS = {0: "+0", 1: "+1", -1: "-1"}
"""Kinds of sentences with one parent, by their step."""


class Sentence(NamedTuple):
    """What a sentence says: a value, or parents and a step; or nothing about any variable."""

    subject: str
    parents: tuple[str, ...]
    number: int
    """The value of a given variable, or the step from its one parent."""
    wording: int = 0
    """Which of the wordings of its kind."""
    aside: str = ""
    """The text of a sentence about no variable, whose subject is empty."""

    @property
    def kind(self) -> str:
        """Return the kind whose wordings it has."""
        if len(self.parents) == 1:
            return KINDS[self.number]
        return SUM if self.parents else GIVEN


SYMBOLS: Wordings = {
    GIVEN: ("{s} {n} =",),
    "+0": ("{s} {p} +0",),
    "+1": ("{s} {p} +1",),
    "-1": ("{s} {p} -1",),
    SUM: ("{s} {p} {q}",),
}
WORDS: Wordings = {
    GIVEN: ("{s} has {n} apples .",),
    "+0": ("{s} has as many apples as {p} .",),
    "+1": ("{s} has one more apple than {p} .",),
    "-1": ("{s} has one fewer apple than {p} .",),
    SUM: ("{s} has as many apples as {p} and {q} .",),
}
STORY: Wordings = {
    GIVEN: ("{s} has {n} apples in a basket .", "This morning {s} picked {n} apples ."),
    "+0": ("{s} has as many apples as {p} .", "{s} picked as many apples as {p} ."),
    "+1": ("{s} has one more apple than {p} .", "{s} picked one more apple than {p} ."),
    "-1": ("{s} has one fewer apple than {p} .", "{s} picked one fewer apple than {p} ."),
    SUM: ("{s} has as many apples as {p} and {q} .", "{s} picked as many apples as {p} and {q} ."),
    ASIDE: (
        "{s} has {n} pears in a basket .",
        "{s} has one more pear than {p} .",
        "{s} sat under a tree with {p} .",
        "The sun was warm on the trees .",
    ),
}
FORMS = {"symbols": SYMBOLS, "words": WORDS, "story": STORY}
"""Of each form the wordings of each kind: {s} is the subject, {p} and {q} parents, {n} a value."""
QUESTIONS = {"symbols": "{s} ?", "words": "{s} ?", "story": "How many apples does {s} have ?"}
EXAMPLES = {
    "symbols": "a 3 =, b a +1 or c a b",
    "words": "Bob has one more apple than Anna.",
    "story": "Anna has 3 apples in a basket. or Bob has one more apple than Anna.",
}


def grammar(form: str) -> tuple[str, ...]:
    """Return the words of a form other than names and values."""
    known = {"symbols": "= +0 +1 -1", "words": "has apples one more fewer apple than as many and ."}
    if form in known:
        return tuple(known[form].split())
    texts = [*(text for wordings in FORMS[form].values() for text in wordings), QUESTIONS[form]]
    words = dict.fromkeys(word for text in texts for word in text.split() if word[0] != "{")
    return tuple(word for word in words | {"apple": None, "pear": None} if word != ASK)


def longest(form: str, kind: str) -> int:
    """Return the tokens of the longest wording of a kind."""
    return max(len(text.split()) for text in FORMS[form][kind])


def filled(text: str, **parts: object) -> str:
    """Return a wording with its parts; one apple takes no plural."""
    return re.sub(r"\b1 (apple|pear)s\b", r"1 \1", text.format(**parts))


def spelt(form: str, sentence: Sentence) -> list[str]:
    """Return a sentence as symbols."""
    if sentence.aside:
        return sentence.aside.split()
    names = dict(zip("pq", sentence.parents, strict=False))
    text = FORMS[form][sentence.kind][sentence.wording]
    return filled(text, s=sentence.subject, n=sentence.number, **names).split()


def understood(
    form: str, words: list[str], names: tuple[str, ...], values: tuple[str, ...]
) -> Sentence:
    """Return what one sentence says.

    Raises WorkbenchError: it has no wording of this form.
    """
    text = " ".join(words)
    for kind, wording, pattern in _patterns(form, names, values):
        if match := pattern.fullmatch(text):
            if kind == ASIDE:
                return Sentence("", (), 0, wording, text)
            got = match.groupdict()
            parents = tuple(got[key] for key in "pq" if key in got)
            number = int(got["n"]) if kind == GIVEN else 0 if kind == SUM else int(kind)
            return Sentence(got["s"], parents, number, wording)
    said = shortened(text.replace(" .", "."))
    known = {*grammar(form), *names, *values}
    strange = next((word for word in words if word not in known), None)
    amounts = (
        match.groupdict().get("n")
        for _, _, pattern in _patterns(form, names, ("-?[0-9]+",))
        if (match := pattern.fullmatch(text))
    )
    amount = next(filter(None, amounts), None)
    if amount is None and strange is not None and re.fullmatch(r"-?\d+", strange):
        amount = strange
    if amount is not None:
        given = f"the amount {shortened(amount)} in {said!r}"
        expected = f"an amount of {values[0]} to {values[-1]}"
    elif strange is None:
        given, expected = f"the sentence {said!r}", f"a sentence such as {EXAMPLES[form]}"
    else:
        given = f"the word {shortened(strange)!r} in {said!r}"
        expected = f"a sentence such as {EXAMPLES[form]} with names {', '.join(names)}"
    raise WorkbenchError(given, expected, "rewrite it")


@lru_cache(maxsize=16)
def _patterns(
    form: str, names: tuple[str, ...], values: tuple[str, ...]
) -> list[tuple[str, int, re.Pattern[str]]]:
    """Return every wording of a form as a pattern, with its kind and its number."""
    name, value = "|".join(names), "|".join(values)
    found = []
    for kind, wordings in FORMS[form].items():
        for number, text in enumerate(wordings):
            pattern = re.sub(r"\\{([spq])\\}", rf"(?P<\1>{name})", re.escape(text))
            pattern = re.sub(r"\\{n\\}", f"(?P<n>{value})", pattern)
            pattern = re.sub(r"(?<=\))(\\ (?:apple|pear)s)", r"\1?", pattern)
            found.append((kind, number, re.compile(pattern)))
    return found
