"""Results: records and runs as xarray, and the questions they answer.

The data are a Dataset over (arm, n_train, seed, n_test, difficulty, step) in which NaN means "not
measured": arms have different numbers of steps, some N are tested at the end alone, and a run may
still train. `moments` reduce the steps, `conditions` make one axis of arm and N, and
`workbench.lab.results.seeds` reduces the seeds.

An arm is named as in its labels. Where the N it is run at is not that of its training (arms of one
pass that are matched to `sleep` at N), it is named with that N: ``longer@4``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.lab.arms import arm_title, condition_words
from workbench.lab.record import entries_of
from workbench.lab.results.axes import at_axes
from workbench.lab.results.seeds import difference, equivalence, over_seeds
from workbench.lab.results.tables import (
    against_n,
    at_flops,
    at_seconds,
    conditions,
    final,
    largest_solved,
    latest,
    learning,
    so_far,
    with_n_test,
)
from workbench.tasks import task as make_task
from workbench.tasks.phrases import measure_of

__all__ = [
    "against_n",
    "at_flops",
    "at_seconds",
    "conditions",
    "dataset",
    "difference",
    "entries_of",
    "equivalence",
    "final",
    "largest_solved",
    "latest",
    "learning",
    "over_seeds",
    "so_far",
    "with_n_test",
]

Entry = Mapping[str, Any]
Key = tuple[str, str, int]
"""Arm, N of training and seed of a run."""
RUN_DIMS = (dims.ARM, dims.N_TRAIN, dims.SEED)
KIND_DIMS = (dims.ARM, dims.N_TRAIN)


def dataset(
    source: Entry | Iterable[Entry], *, axes: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Return the results of one task as one Dataset.

    Parameters
    ----------
    source : mapping, or iterable of mappings
        A record (`workbench.lab.record.read_record`), several, or entries of runs (`entries_of`).
        A run that comes twice, with the same identity, counts once.
    axes : mapping or None
        Values of the sweep's further axes, by dotted name: ``{"task.nodes": 8}``. Needed where the
        runs differ in them.

    Returns
    -------
    Dataset
        ``accuracy (arm, n_train, seed, n_test, difficulty, step)``
            Share of queries answered right; the final evaluation stands at the run's last step. Of
            a task with another `Task.measure` that measure, with its groups as the difficulties.
        ``first (arm, n_train, seed, n_test, difficulty, step)``
            The same for the first query of each example alone; NaN where it was not recorded.
        ``exact (arm, n_train, seed, n_test, step)``
            Share of examples with every query right.
        ``loss, logged_seconds (arm, n_train, seed, logged_step)``
            Training loss, nats per predicted token, and seconds of training until then.
        ``seconds (arm, n_train, seed, step)``
            Seconds spent on training steps, evaluations not counted; between logged steps as if
            all steps took equally long.
        ``training_flops (arm, n_train, step)``
            Spent on training until then; ``step_flops (arm, n_train)`` on one step.
        ``steps (arm, n_train)``
            Steps to do; ``sleep_flops, wake_flops (arm, n_train)``: cost of one sequence at test.
        ``chance (chance_line, difficulty)``, ``chance_exact (chance_line)``
            Scores without the context; lines measured on models are means over the runs. Lines
            that the task knows are here whether or not a run has recorded them.
        ``own_chance, own_first (arm, n_train, seed, chance_line, difficulty)``
            The same of each run, for all queries and for first queries.

        Coordinates ``title, family (arm)`` (words, and the name without ``@N``), ``passes`` (N
        of the arm) and ``words`` (arm and N for a reader; "" where there is no run) over
        (arm, n_train). Attributes ``task``, ``difficulty`` (its name), ``measure`` (name of what
        is measured; "" for accuracy), ``titles``, ``counts``
        (examples evaluated on), ``commits`` and ``machines``, the last four as lists.

    Raises
    ------
    WorkbenchError
        No run is left, the runs differ in an axis that is not chosen or in their task, or two
        different runs have the same arm, N and seed.
    """
    entries, titles = _unpacked(source)
    if not entries:
        raise WorkbenchError("no runs", "at least one", "start some, or name another record")
    entries = _alike(_distinct(at_axes(entries, axes or {})))
    measure = measure_of(entries[0]["task"])
    measured = map(_in_measure, entries) if measure else _with_lines_of_the_task(entries)
    entries = list(measured)
    runs = {_key(entry): entry for entry in entries}
    index, cells = _cells(runs)
    result = xr.Dataset(
        _filled(index, cells),
        {d: np.array(v, dtype=str if d == dims.CHANCE_LINE else None) for d, v in index.items()},
    )
    result = result.merge(_chance(entries, index))
    steps, spent = result[dims.STEP], result["steps"]
    result["training_flops"] = (result["step_flops"] * steps).where(steps <= spent)
    first = entries[0]
    result = result.assign_coords(_words(index, runs)).set_coords("passes")
    return result.assign_attrs(
        task=first["task"],
        difficulty="" if measure else first["difficulty"],
        measure=measure,
        titles=titles,
        counts=sorted({int(e["evaluation"]["count"]) for e in entries}),
        commits=sorted({_commit(e) for e in entries}),
        machines=sorted({_machine(e["machine"]) for e in entries if e.get("machine")}),
    )


def _in_measure(entry: Entry) -> Entry:
    """Return an entry with bits by group in the place of accuracy by difficulty."""

    def of(passes: Mapping[str, Any]) -> dict[str, Any]:
        tested = {n: scores for n, scores in passes.items() if scores.get("bits")}
        return {n: {"accuracy": s["bits"], "exact": s["exact"]} for n, s in tested.items()}

    curve = {**entry["curve"], "passes": [of(passes) for passes in entry["curve"]["passes"]]}
    return {**entry, "curve": curve, "final": of(entry["final"]), "chance": {}}


def arm_name(labels: Mapping[str, Any]) -> str:
    """Return the name of a run's arm, with the arm's N where training has another."""
    passes, trained = labels.get("passes"), str(labels["n_train"])
    if passes is None or trained.rpartition("-")[2] == str(passes) or not trained[:1].isdigit():
        return str(labels["arm"])
    return f"{labels['arm']}@{passes}"


def _unpacked(source: Entry | Iterable[Entry]) -> tuple[list[Entry], list[str]]:
    """Return entries and titles of records and entries, mixed or not."""
    items = [source] if isinstance(source, Mapping) else list(source)
    entries: list[Entry] = []
    titles: list[str] = []
    for item in items:
        runs = item.get("runs")
        entries += [item] if runs is None else runs
        title = item.get("title") or (item["labels"].get("sweep") if runs is None else None)
        if title and title not in titles:
            titles.append(title)
    return entries, titles


def _key(entry: Entry) -> Key:
    labels = entry["labels"]
    return arm_name(labels), str(labels["n_train"]), int(labels["seed"])


def _distinct(entries: list[Entry]) -> list[Entry]:
    """Return each run once; equal configurations are the same run."""
    seen: dict[Key, Entry] = {}
    for entry in entries:
        before = seen.setdefault(_key(entry), entry)
        if before["labels"]["identity"] != entry["labels"]["identity"]:
            raise WorkbenchError(
                f"two different runs of arm, N and seed {_key(entry)}: {before['name']} and "
                f"{entry['name']}",
                "one of each",
                "give the runs of one sweep",
            )
    return list(seen.values())


def _alike(entries: list[Entry]) -> list[Entry]:
    """Check that accuracy means the same in all runs, and cost the same for all seeds."""
    first = entries[0]
    spent: dict[tuple[str, str], tuple[Any, Any]] = {}
    for entry in entries:
        if _task(entry) != _task(first):
            raise WorkbenchError(
                f"runs of different tasks: {first['name']} and {entry['name']}",
                "one task with the same settings",
                "choose runs of one of them",
            )
        kind = _key(entry)[:2]
        budget = (entry["budget"]["steps"], entry["budget"].get("flops"))
        if spent.setdefault(kind, budget) != budget:
            raise WorkbenchError(
                f"seeds of {' N = '.join(kind)} with budgets {spent[kind]} and {budget}",
                "one budget (steps, FLOPs) for all seeds",
                "give the runs of one sweep",
            )
    return entries


def _task(entry: Entry) -> dict[str, Any]:
    return tomllib.loads(entry["config"])["task"]


def _with_lines_of_the_task(entries: list[Entry]) -> list[Entry]:
    """Return entries whose chance lines include all that their task works out today.

    The entries are of one task. One from another package, or of a setting that is refused today,
    keeps what it recorded.
    """
    settings = _task(entries[0])
    try:
        known = make_task(settings.pop("name"), **settings).chance()
    except WorkbenchError:
        return entries
    lines = {name: line.as_record() for name, line in known.items()}
    return [{**entry, "chance": {**lines, **entry["chance"]}} for entry in entries]


def _evaluations(entry: Entry) -> dict[int, dict[str, Any]]:
    """Return step -> N tested -> scores; the final evaluation stands at the last step."""
    curve = entry["curve"]
    found = {int(s): dict(p) for s, p in zip(curve["step"], curve["passes"], strict=True)}
    if entry["final"]:
        last = int(entry["budget"]["steps"])
        found[last] = found.get(last, {}) | entry["final"]
    return found


def _cells(
    runs: Mapping[Key, Entry],
) -> tuple[dict[str, list[Any]], list[tuple[str, tuple[Any, ...], Any]]]:
    """Return the coordinates (arms as given, all else ascending), and the values at them."""
    cells: list[tuple[str, tuple[Any, ...], Any]] = []
    seen: dict[str, set[Any]] = {
        d: set() for d in (dims.N_TEST, dims.DIFFICULTY, dims.STEP, dims.LOGGED_STEP)
    }
    for key, entry in runs.items():
        cost, budget, log = entry["labels"].get("cost") or {}, entry["budget"], entry["loss"]
        steps, kind = int(budget["steps"]), key[:2]
        cells.append(("steps", kind, steps))
        if entry["labels"].get("passes") is not None:
            cells.append(("passes", kind, entry["labels"]["passes"]))
        cells += [(f"{part}_flops", kind, cost[part]) for part in ("sleep", "wake") if part in cost]
        if budget.get("flops") is not None:
            cells.append(("step_flops", kind, budget["flops"] / steps))
        for step, loss, seconds in zip(log["step"], log["loss"], log["seconds"], strict=True):
            at = (*key, int(step))
            cells += [("loss", at, loss), ("logged_seconds", at, seconds)]
            seen[dims.LOGGED_STEP].add(int(step))
        for step, passes in _evaluations(entry).items():
            seen[dims.STEP].add(step)
            for n, scores in passes.items():
                seen[dims.N_TEST].add(int(n))
                seen[dims.DIFFICULTY].update(map(_level, scores["accuracy"]))
                cells.append(("exact", (*key, int(n), step), scores["exact"]))
                for part in ("accuracy", "first"):
                    shares = scores.get(part) or {}
                    for level, value in shares.items():
                        cells.append((part, (*key, int(n), _level(level), step), value))
        for line, scores in entry["chance"].items():
            for name, part in (("own_chance", "accuracy"), ("own_first", "first")):
                shares = scores.get(part) or {}
                cells += [(name, (*key, line, int(d)), v) for d, v in shares.items()]
    index: dict[str, list[Any]] = {
        dims.ARM: list(dict.fromkeys(arm for arm, _, _ in runs)),
        dims.N_TRAIN: sorted({n for _, n, _ in runs}, key=_order),
        dims.SEED: sorted({seed for _, _, seed in runs}),
        dims.CHANCE_LINE: list(dict.fromkeys(n for e in runs.values() for n in e["chance"])),
    }
    index |= {name: sorted(values) for name, values in seen.items()}
    for key, entry in runs.items():
        if log := entry["loss"]["step"]:  # between logged steps as if all took equally long
            known, spent = [0, *log], [0.0, *entry["loss"]["seconds"]]
            seconds = np.interp(index[dims.STEP], known, spent, right=np.nan)
            at_steps = zip(index[dims.STEP], seconds, strict=True)
            cells += [("seconds", (*key, step), value) for step, value in at_steps]
    return index, cells


def _level(text: str) -> int | str:
    """Return a difficulty as a number, and a group by its name."""
    return int(text) if text.isdecimal() else text


def _order(n_train: str) -> tuple[int, list[int], str]:
    """Sort 1, 2, 16, then the random 1-4, then N by rule."""
    numbers = [int(part) for part in re.findall(r"\d+", n_train)]
    return (len(numbers) if n_train[:1].isdigit() else 9, numbers, n_train)


OVER = {
    "accuracy": (*RUN_DIMS, dims.N_TEST, dims.DIFFICULTY, dims.STEP),
    "first": (*RUN_DIMS, dims.N_TEST, dims.DIFFICULTY, dims.STEP),
    "exact": (*RUN_DIMS, dims.N_TEST, dims.STEP),
    "loss": (*RUN_DIMS, dims.LOGGED_STEP),
    "logged_seconds": (*RUN_DIMS, dims.LOGGED_STEP),
    "seconds": (*RUN_DIMS, dims.STEP),
    "passes": KIND_DIMS,
    "steps": KIND_DIMS,
    "step_flops": KIND_DIMS,
    "sleep_flops": KIND_DIMS,
    "wake_flops": KIND_DIMS,
    "own_chance": (*RUN_DIMS, dims.CHANCE_LINE, dims.DIFFICULTY),
    "own_first": (*RUN_DIMS, dims.CHANCE_LINE, dims.DIFFICULTY),
}
"""Dims of each value that runs give."""
OF_LINES = ("own_chance", "own_first")
"""Those of chance lines."""


def _filled(
    index: Mapping[str, Sequence[Any]], cells: Iterable[tuple[str, tuple[Any, ...], Any]]
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Return arrays of values at their coordinates, NaN elsewhere.

    A chance line may know difficulties that no run was tested at; these are left out.
    """
    place = {dim: {value: i for i, value in enumerate(values)} for dim, values in index.items()}
    arrays = {name: np.full([len(index[d]) for d in over], np.nan) for name, over in OVER.items()}
    for name, at, value in cells:
        if name in OF_LINES and at[-1] not in place[dims.DIFFICULTY]:
            continue
        where = tuple(place[dim][part] for dim, part in zip(OVER[name], at, strict=True))
        arrays[name][where] = value
    return {name: (over, arrays[name]) for name, over in OVER.items()}


def _chance(entries: list[Entry], index: Mapping[str, Sequence[Any]]) -> xr.Dataset:
    """Return the chance lines, each a mean over the runs that have it."""

    def mean(line: str, *names: str) -> float:
        found: list[Any] = [e["chance"][line] for e in entries if line in e["chance"]]
        for name in names:
            found = [scores.get(name) for scores in found]
            found = [value for value in found if value is not None]
        return float(np.mean(found)) if found else np.nan

    lines, levels = index[dims.CHANCE_LINE], index[dims.DIFFICULTY]
    accuracy = [[mean(line, "accuracy", str(level)) for level in levels] for line in lines]
    shape = len(lines), len(levels)
    return xr.Dataset(
        {
            "chance": ((dims.CHANCE_LINE, dims.DIFFICULTY), np.reshape(accuracy, shape)),
            "chance_exact": ((dims.CHANCE_LINE,), np.array([mean(n, "exact") for n in lines])),
        }
    )


def _words(
    index: Mapping[str, Sequence[Any]], runs: Mapping[Key, Entry]
) -> dict[str, tuple[Any, Any]]:
    """Return the coordinates in words."""
    arms, trained = index[dims.ARM], index[dims.N_TRAIN]
    words = np.full((len(arms), len(trained)), "", dtype=object)
    titles: dict[str, str] = {}
    for arm, n, _ in runs:
        words[arms.index(arm), trained.index(n)] = condition_words(arm, n)
        titles.setdefault(arm, arm_title(arm, n))
    return {
        "title": ((dims.ARM,), np.array([titles[arm] for arm in arms])),
        "family": ((dims.ARM,), np.array([arm.partition("@")[0] for arm in arms])),
        "words": (KIND_DIMS, words.astype(str)),
    }


def _commit(entry: Entry) -> str:
    commit = entry.get("commit") or {}
    changed = " with changes" if commit.get("uncommitted_changes") else ""
    return f"{str(commit.get('hash') or 'unknown')[:7]}{changed}"


def _machine(machine: Mapping[str, Any]) -> str:
    cores = machine.get("cores")
    return f"{machine.get('processor', 'unknown')}{f', {cores} cores' if cores else ''}"
