"""Drills: a few random names that return again and again, so that copying pays from the start."""

from __future__ import annotations

from random import Random

from workbench.tasks.text.material import Mention
from workbench.tasks.text.names import random_name

LINKS = (" and ", ", ", " begat ", " the son of ")
FEWEST, MOST = 2, 8
"""Names of a drill."""


def drill(random: Random, length: int) -> tuple[str, list[Mention]]:
    """Return a text of random names, joined by one link, and where they stand in it."""
    names: list[str] = []
    for _ in range(random.randint(FEWEST, MOST)):
        names.append(random_name(random, names))
    link, text = random.choice(LINKS), ""
    mentions: list[Mention] = []
    while len(text) < length:
        name = random.choice(names)
        mentions.append(Mention(len(text), len(text) + len(name), name))
        text += name + link
    return text[:length], mentions
