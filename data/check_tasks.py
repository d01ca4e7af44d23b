"""Check 20,000 problems of every setting of the tasks `gsm_infinite` and `variables`.

    python data/check_tasks.py                  writes data/results/tasks/checks.json
    python data/check_tasks.py --count 200      prints a quick check and writes nothing

Of each setting: problems of the evaluation stream that the solver answers as they were drawn;
whose answer stays the same without distractors, and without every sentence that it does not depend
on; problems that the training stream draws too, word for word; and for reverse problems, how many
have exactly one solution, with every constant from 1 to 1,000 put in. Shares come with their 95 %
intervals.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.batch import Batch
from workbench.files import write_json
from workbench.progress import progress_bar
from workbench.tasks import EVALUATION, TRAIN, batch_generator, draw, task
from workbench.tasks.base import HELD_OUT
from workbench.tasks.gsm_infinite.problems import Definition, Problem
from workbench.tasks.gsm_infinite.reading import LARGEST, Solution, read_story
from workbench.tasks.gsm_infinite.task import GsmInfinite
from workbench.training.statistics import wilson

TARGET = Path(__file__).parent / "results/tasks/checks.json"
COUNT, AT_ONCE = 20_000, 500
SHORT, LONG = {"length": 600}, {"length": 800, "d": 3}
FEW = {"places": 4, "things": 6, "max_operations": 5, "totals": 0.0}
REVERSE = {"mode": "reverse", "max_operations": 6}
STORY = {"form": "story", "variables": 7, "sums": 0.3, "asides": 4, "parts": 2}
SETTINGS: dict[str, dict[str, Any]] = {
    "gsm_infinite": SHORT,
    "gsm_infinite d = 3": LONG | {"min_operations": 1},
    "gsm_infinite harbours, digits": SHORT | {"theme": "harbours", "answer": "digits"},
    "gsm_infinite libraries, modulus": SHORT | {"theme": "libraries", "modulus": 5},
    "gsm_infinite d = 3, digits, question last": LONG | {"answer": "digits", "question": "last"},
    "gsm_infinite parents first, depth": SHORT | {"order": "parents_first", "difficulty": "depth"},
    "gsm_infinite 4 questions": SHORT | {"question": "last", "questions": 4},
    "gsm_infinite held out": SHORT | {"held_out": 0.3},
    "gsm_infinite totals alone": SHORT | {"totals": 1.0},
    "gsm_infinite no totals, few places": SHORT | FEW,
    "gsm_infinite op 2": SHORT | {"max_operations": 2},
    "gsm_infinite op 8": SHORT | {"min_operations": 8},
    "gsm_infinite official noise": SHORT | {"noise": "official"},
    "gsm_infinite noise like the core": SHORT | {"noise": "like_core"},
    "gsm_infinite d = 3, official noise": LONG | {"noise": "official"},
    "gsm_infinite d = 3, noise like the core": LONG | {"noise": "like_core"},
    "gsm_infinite reverse": SHORT | REVERSE,
    "gsm_infinite d = 3, reverse": LONG | REVERSE,
    "gsm_infinite reverse, official noise": SHORT | REVERSE | {"noise": "official"},
    "variables": {},
    "variables parents first": {"order": "parents_first", "sums": 0.3},
    "variables question first": {"question": "first"},
    "variables both": {"question": "both", "sums": 0.3},
    "variables words": {"form": "words", "sums": 0.3, "variables": 7},
    "variables words, question first": {"form": "words", "question": "first", "variables": 7},
    "variables story": STORY,
    "variables story, question first": STORY | {"question": "first"},
}
"""Name of a setting, which begins with its task, -> what differs from the defaults."""


def fingerprints(batch: Batch) -> set[bytes]:
    """Return a digest of each problem, its answers left out."""
    tokens = np.where(batch.loss_mask, -1, batch.tokens)
    return {hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in tokens}


def check(name: str, count: int) -> dict[str, Any]:
    """Return the counts of one setting."""
    made = task(name.partition(" ")[0], **SETTINGS[name])
    steps = range(-(-count // AT_ONCE))
    right = same = alone = unique = 0
    trained: set[bytes] = set()
    drawn: set[bytes] = set()
    for step in steps:
        number = min(AT_ONCE, count - step * AT_ONCE)
        trained |= fingerprints(draw(made, number, 0, step, TRAIN))
        told = problems(made, number, step) if isinstance(made, GsmInfinite) else []
        batch = laid_out(made, told) if told else draw(made, number, 0, step, EVALUATION)
        drawn |= fingerprints(batch)
        garbled = replace(batch, tokens=np.where(batch.loss_mask, 1, batch.tokens))
        right += int((made.solve(garbled) == batch.tokens).all(axis=1).sum())
        if isinstance(made, GsmInfinite):
            for problem in told:
                same += made.config.noise != "none" and without(made, problem, ("noise",))
                alone += without(made, problem, ("noise", "unnecessary"))
                if problem.given is not None:
                    unique += solutions(made, problem) == [problem.values[problem.questions[0]]]
    found: dict[str, Any] = {"settings": SETTINGS[name], "count": count}
    found["solved"] = share(right, count)
    if isinstance(made, GsmInfinite):
        if made.config.noise != "none":
            found["same without noise"] = share(same, count)
        found["same from needed sentences alone"] = share(alone, count)
        if made.config.mode == "reverse":
            found["one solution"] = share(unique, count)
    found["in both streams"] = len(trained & drawn)
    found["repeated in a stream"] = [count - len(trained), count - len(drawn)]
    return found


def share(right: int, count: int) -> dict[str, Any]:
    """Return a count with the interval of its share."""
    return {"right": right, "interval": [round(end, 6) for end in wilson(right / count, count)]}


def problems(made: GsmInfinite, count: int, step: int) -> list[Problem]:
    """Return the problems of an evaluation batch with the role of every sentence."""
    return list(made.part(HELD_OUT).problems(count, batch_generator(0, step, EVALUATION)))


def laid_out(made: GsmInfinite, told: list[Problem]) -> Batch:
    """Return the batch of problems, as `sample` lays it out."""
    contexts = [made._tokens.encode(made._context(problem)) for problem in told]
    return made._batch(contexts, [[made._asked(p, q) for q in p.questions] for p in told])


def solution_of(made: GsmInfinite, problem: Problem, definitions: list[Definition]) -> Solution:
    """Return a problem with only some of its sentences, as the reader understands it."""
    part = replace(problem, definitions=definitions)
    words = [made.vocabulary[symbol] for symbol in made._context(part)]
    story = read_story(words, made.config.theme, digits=made._wording.digits)
    return Solution(story, made.config.theme, made.config.modulus)


def without(made: GsmInfinite, problem: Problem, roles: tuple[str, ...]) -> bool:
    """Return whether the first question has the same answer without sentences of some roles."""
    kept = [d for d in problem.definitions if d.role not in roles]
    asked = problem.questions[0]
    name = made._wording.names[asked]
    return solution_of(made, problem, kept).value(name) == problem.values[asked]


def solutions(made: GsmInfinite, problem: Problem) -> list[int]:
    """Return every value of the unknown constant that leads to what a reverse problem states."""
    read = solution_of(made, problem, problem.definitions)
    tried = np.arange(1, LARGEST + 1)
    values = {read.unknown: tried.astype(float)}  # exact below 2**53
    [fact] = read.facts
    for name in read.ancestors(fact.subject):
        if name == read.unknown:
            continue
        sentence = read.by_subject.get(name)
        if sentence is None:
            pairs = read.members(name, "the check")
            values[name] = sum(np.prod([values[n] for n in pair], axis=0) for pair in pairs)
            continue
        below = [values[parent] for parent in sentence.parents]
        if sentence.form == "difference":
            values[name] = below[0] - below[1]
        elif sentence.form == "times":
            values[name] = sentence.constant * below[0]
        else:  # a constant, a sum of one to three, or both
            values[name] = sum(below, start=np.full(len(tried), float(sentence.constant)))
    return [int(x) for x in tried[values[fact.subject] == fact.constant]]


def main() -> None:
    """Check every setting, or those named; write the record of a full check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--only", choices=SETTINGS, help="one setting")
    options = parser.parse_args()
    names = [options.only] if options.only else list(SETTINGS)
    record: dict[str, Any] = {}
    with progress_bar(len(names), unit="setting") as bar:
        for name in names:
            record[name] = check(name, options.count)
            counts = {
                key: value["right"] if isinstance(value, dict) else value
                for key, value in record[name].items()
                if key != "settings"
            }
            bar.write(f"{name}: {counts}")
            bar.update()
            if options.count == COUNT and not options.only:
                write_json(TARGET, record)


if __name__ == "__main__":
    main()
