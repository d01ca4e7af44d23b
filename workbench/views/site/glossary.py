"""Words of the workbench that a newcomer does not know, a sentence each."""

from __future__ import annotations

from html import escape
from typing import Final

from workbench.measurements.catalogue import measurements

GENERAL: Final = {
    "window": "The text that the model reads at once, before its KV cache is emptied.",
    "KV cache": "What attention keeps of each token it has read: exact, with one entry per token.",
    "eviction": "Emptying the KV cache at the end of a window.",
    "S, fast weights": (
        "The memory that stays when the cache is gone: small matrices, changed by reading."
    ),
    "head": "One of the matrices that S is made of; each layer with a memory has several.",
    "asleep, awake": (
        "Asleep, the model goes over a window several times before the cache is emptied; awake, it "
        "reads once, and answers."
    ),
    "pass, N": "A pass is one time over the window while asleep, and N is how many there are.",
    "wake": "To end the sleep and read the questions with S as it is then.",
    "Gated DeltaNet": (
        "The kind of layer that holds S here: a gate lets some of S fade, and each token then "
        "corrects what S returns for the token's key."
    ),
    "logit, nat": (
        "A logit is the model's score for an answer, in nats: one nat more makes the answer about "
        "2.7 times as likely compared with another."
    ),
    "stable rank, effective rank": (
        "Two counts of the directions that a matrix uses: the effective rank weighs all of them, "
        "the stable rank compares them with the strongest."
    ),
    "arm": "One way of training in a comparison, run with several seeds.",
    "chance": "The score of a guess made without reading the context.",
}
"""The words that every page needs, in the order in which a newcomer meets them."""


def words() -> dict[str, str]:
    """Return each word, or words that belong together, with its sentence; general words first."""
    found = dict(GENERAL)
    for one in measurements().values():
        found |= one.words
    return found


def words_html() -> str:
    """Return all words as HTML that unfolds."""
    pairs = "".join(
        f"<div><dt>{escape(word)}</dt><dd>{escape(text)}</dd></div>"
        for word, text in words().items()
    )
    return f'<details class="glossary"><summary>Words</summary><dl>{pairs}</dl></details>'
