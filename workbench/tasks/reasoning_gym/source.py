"""Items of one data set of reasoning-gym, each a function of its number alone.

The package is imported here and nowhere else, when the first item is asked for.
"""

from __future__ import annotations

import dataclasses
import os
import random
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import lru_cache
from io import StringIO
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import WorkbenchError, one_line
from workbench.files import UnreadableFile, parse_toml
from workbench.tasks.phrases import shortened

SEED = 0
"""Seed of every data set; an item's number is all that it depends on."""
NUMBERS = 2**31
"""Items are numbered from 0 up to this."""
SHUT = ("seed", "size")
"""Settings that the task itself chooses."""
UNREPEATABLE = (
    "isomorphic_strings",
    "knight_swap",
    "polynomial_multiplication",
    "ransom_note",
    "word_ladder",
)
"""Data sets of version 0.1.25 whose items differ between two processes."""


class Item(NamedTuple):
    """One problem as the data set gives it."""

    question: str
    answer: str
    numbers: dict[str, int]
    """The whole numbers in its metadata."""
    entry: dict[str, Any]
    """What the scorer is given."""


class Source:
    """One data set with its settings."""

    def __init__(self, dataset: str, options: str, level: int | None) -> None:
        package = _package()
        factory = package.factory
        if dataset not in factory.DATASETS:
            close = get_close_matches(dataset, factory.DATASETS, n=3, cutoff=0.4)
            raise WorkbenchError(
                f"task.dataset = {dataset!r}",
                f"one of the {len(factory.DATASETS)} data sets of reasoning-gym, such as "
                f"{', '.join(close or ['chain_sum', 'family_relationships'])}",
                "check the name; sorted(reasoning_gym.factory.DATASETS) lists them all",
            )
        self.name = dataset
        if dataset in UNREPEATABLE and os.environ.get("PYTHONHASHSEED", "random") == "random":
            raise WorkbenchError(
                f"task.dataset = {dataset!r}, whose items follow Python's random order of sets",
                "the same order in every process",
                "set the environment variable PYTHONHASHSEED=0",
            )
        kind, config_class = factory.DATASETS[dataset]
        given = _options(options, config_class)
        base: dict[str, Any] = {"seed": SEED}
        if level is not None:
            base |= self._curriculum(package, level)
        try:
            config = config_class(**(base | given))
            self._dataset = kind(config)
        except Exception as error:  # data sets refuse settings with any of several exceptions
            said = one_line(error) or type(error).__name__
            raise WorkbenchError(
                f"task.options = {options!r} for {dataset} ({shortened(said)})",
                "settings that the data set accepts",
                f"change them; it has {_fields(config_class)}",
            ) from None

    def _curriculum(self, package: ModuleType, level: int) -> dict[str, Any]:
        """Return the settings of a level of the data set's curriculum."""
        if not package.factory.has_curriculum(self.name):
            raise WorkbenchError(
                f"task.level = {level} for {self.name}, which has no curriculum",
                "no level",
                "leave task.level out, or set task.options",
            )
        curriculum = package.factory.create_curriculum(self.name)
        curriculum.set_global_level(level)
        made = curriculum.generate_configuration({"seed": SEED})
        return {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}

    def item(self, number: int) -> Item:
        """Return an item. The same number gives the same item, whatever was drawn before.

        Raises `LookupError` if the data set fails to make this one, or answers nothing.
        """
        before = random.getstate(), np.random.get_state()
        random.seed(number)  # a few data sets draw from the global generators
        np.random.seed(number % 2**32)
        try:
            with redirect_stdout(StringIO()):  # a few print while they work
                try:
                    entry = self._dataset[number]
                except IndexError:  # a fixed list of items
                    entry = self._dataset[number % len(self._dataset)]
        except Exception as error:
            raise LookupError(f"{type(error).__name__}: {error}") from None
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
        answer = entry["answer"]
        if answer == "":
            raise LookupError("an empty answer")
        if not isinstance(answer, str):
            raise WorkbenchError(
                f"task.dataset = {self.name!r}, whose items come without an answer",
                "a data set that gives one right answer to learn from",
                "choose another data set",
            )
        metadata = entry.get("metadata") or {}
        numbers = {k: v for k, v in metadata.items() if type(v) is int and k != "source_index"}
        return Item(entry["question"], answer, numbers, entry)

    def score(self, answer: str, entry: dict[str, Any]) -> float:
        """Return what the data set's own scorer says of an answer, 0 to 1."""
        try:
            return float(self._dataset.score_answer(answer, entry=entry))
        except Exception:  # scorers parse what they are given, and may fail on anything
            return 0.0


@lru_cache(maxsize=16)
def source(dataset: str, options: str, level: int | None) -> Source:
    """Return a data set, made once."""
    return Source(dataset, options, level)


def _package() -> ModuleType:
    """Return the package, or say how to install it."""
    try:
        import reasoning_gym
    except ModuleNotFoundError as error:
        if error.name != "reasoning_gym":
            raise
        raise WorkbenchError(
            "the package reasoning-gym is not installed",
            "the extra `reasoning`, whose data sets this task uses",
            "pip install -c constraints.txt -e '.[reasoning]'",
        ) from None
    return reasoning_gym


def _options(text: str, config_class: type) -> dict[str, Any]:
    """Return the settings in a text, checked against the fields of a data set."""
    try:
        given = parse_toml(f"options = {{{text}}}", what="task.options")["options"]
    except (UnreadableFile, KeyError):
        given = None
    if not isinstance(given, dict):
        raise WorkbenchError(
            f"task.options = {text!r}",
            "settings as name = value, with commas between them",
            "write for example: min_terms = 2, max_terms = 3",
        )
    names = {field.name for field in dataclasses.fields(config_class)}
    if unknown := [name for name in given if name not in names or name in SHUT]:
        raise WorkbenchError(
            f"task.options: {unknown[0]} is unknown",
            f"one of {_fields(config_class)}",
            "remove or rename it",
        )
    return given


def _fields(config_class: type) -> str:
    """Return the settings of a data set with their defaults, in words."""
    found = []
    for field in dataclasses.fields(config_class):
        if field.name not in SHUT:
            default = field.default
            known = isinstance(default, int | float | str | bool)
            found.append(f"{field.name} ({default})" if known else field.name)
    return ", ".join(found) or "none"
