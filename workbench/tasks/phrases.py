"""Counts and difficulties in words."""

from __future__ import annotations

from workbench.task_config import task_kinds


def level_words(level: int | str, difficulty_name: str) -> str:
    """Return a difficulty in words, by the unit of the task that has it: ``1 hop``, ``8 steps``.

    A group of tokens, which has no difficulty, is named as it is.
    """
    if not difficulty_name:
        return str(level)
    for task in task_kinds().values():
        if task.difficulty_name == difficulty_name:
            return counted(level, task.unit)
    return f"{difficulty_name} {level}"


def measure_of(task: str) -> str:
    """Return the name of what a task's runs are judged by (`Task.measure`); "" for accuracy."""
    kind = task_kinds().get(task)
    return "" if kind is None or kind.measure is None else kind.measure.name


def counted(count: int | str, noun: str) -> str:
    """Return a count in words: ``1 string``, ``2 strings``, ``1 to 4 hops``."""
    return f"{count} {noun}{'' if str(count) == '1' else 's'}"


def shortened(text: str, most: int = 90) -> str:
    """Return a text of at most `most` characters, for a message."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
