"""Counts and difficulties in words."""

from __future__ import annotations


def level_words(level: int | str, difficulty_name: str) -> str:
    """Return a difficulty in words: ``1 hop``, ``8 steps``."""
    units = {"hops": "hop", "rollout": "step", "operations": "operation"}
    if difficulty_name not in units:
        return f"{difficulty_name} {level}"
    return counted(level, units[difficulty_name])


def counted(count: int | str, noun: str) -> str:
    """Return a count in words: ``1 string``, ``2 strings``, ``1 to 4 hops``."""
    return f"{count} {noun}{'' if str(count) == '1' else 's'}"
