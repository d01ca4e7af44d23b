"""Words of the workbench that a newcomer cannot know, a plain sentence each. Knows no Panel."""

from __future__ import annotations

from html import escape
from typing import Final

WORDS: Final = {
    "window": "A stretch of text that the model reads at once, before its KV cache is emptied.",
    "KV cache": "What attention keeps of each token it has read: exact, and one entry a token.",
    "eviction": "Emptying the KV cache at the end of a window.",
    "S, fast weights": (
        "The memory that stays when the cache is gone: small matrices, which reading changes."
    ),
    "head": "One of the matrices that S is made of; each layer with a memory has several.",
    "asleep, awake": (
        "Asleep, the model goes over a window several times before the cache is emptied; awake, it "
        "reads once, and answers."
    ),
    "pass, N": "A pass is one time over the window while asleep, and N is how many there are.",
    "wake": "To end the sleep and read the questions, with S as it then stands.",
    "Gated DeltaNet": (
        "The kind of layer that holds S here: a gate lets some of S fade, and each token then "
        "corrects what S returns for the token's key."
    ),
    "logit, nat": (
        "A logit is the model's score for an answer, counted in nats: one nat more makes the "
        "answer about 2.7 times as likely against another."
    ),
    "stable rank, effective rank": (
        "Two counts of the directions that a matrix uses: the effective rank weighs all of them, "
        "the stable rank compares them with the strongest."
    ),
    "frozen replay": (
        "A comparison: the first pass's writes made again and again, as if later passes found "
        "nothing new to write."
    ),
    "probe": "A simple decoder, trained to tell something from S.",
    "control": "The same with something that means nothing, to see what comes out by itself.",
    "selectivity": (
        "A probe's accuracy minus that of an equal probe for labels that mean nothing."
    ),
    "steering": "Moving S along a probe's direction, to see whether the answers follow.",
    "patch": "Putting a part of one reading's S, the donor's, in another one's, the recipient's.",
    "unrelated donor": (
        "A patch from a context that has nothing to do with the question: it loses the "
        "recipient's answer and does not bring the donor's. An effect beyond it counts from there."
    ),
    "noise, denoise": (
        "The two ways of a patch: the donor's part goes into the recipient's reading (is the part "
        "needed?), or the recipient's into the donor's (is it enough?)."
    ),
    "ablation": "Taking a part of S away, to see which answers are lost.",
    "attribution": "Dividing one answer's score among what it may be owed to.",
    "baseline": (
        "What something is compared with: for an attribution what each part is exchanged for, for "
        "a probe what can be told from the text itself, from untrained weights, or from a frozen "
        "replay."
    ),
    "completeness": "Whether attributions add up to what they divide.",
    "infidelity": (
        "How far attributions are from what happens when random parts are set to the baseline; "
        "zero is best."
    ),
    "arm": "One way to train in a comparison, run with several seeds.",
    "chance": "What one scores without reading the context.",
}
"""By the word, or words that belong together; in the order in which a newcomer meets them."""


def words_html() -> str:
    """Return every word as HTML that unfolds."""
    pairs = "".join(
        f"<div><dt>{escape(word)}</dt><dd>{escape(text)}</dd></div>" for word, text in WORDS.items()
    )
    return f'<details class="glossary"><summary>Words</summary><dl>{pairs}</dl></details>'
