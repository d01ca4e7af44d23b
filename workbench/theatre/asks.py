"""What the front end asks of a host: another example, own input, another N, a head's states.

An ask is plain data, an answer is a container or one line on what is wrong and at which field.
Knows no host. Scenes are kept by the content of model and question, in bounded caches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import xarray as xr

from workbench import dims
from workbench.config import load_experiment
from workbench.errors import WorkbenchError
from workbench.once_cache import OnceCache
from workbench.tasks import task as make_task
from workbench.theatre.container import encode
from workbench.theatre.problem import (
    EXAMPLES,
    MOST_PASSES,
    Problem,
    drawn,
    first_passes,
    misfit,
    trained_range,
    typed,
)
from workbench.theatre.recording import Recording, of_trace, read_example
from workbench.theatre.scene import digest_of, head_of, scene_of
from workbench.trace import origin_of

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

SCENES: Final = 48
"""Scenes that are kept; one of a bundled model takes about 0.1 MB, none more than 5 MB."""
LARGE: Final = 2
"""Recordings of large scenes that are kept, as heads of them are asked for one by one."""
HEADS: Final = 64
"""States of single heads that are kept."""
LONGEST: Final = 20_000
"""Most characters of own input, or of its queries."""
MOST_SEED: Final = 2**32 - 1
CHOOSE: Final = "choose its example again"
TAKE: Final = "show the checkpoint that it was recorded from instead"


class Answer(NamedTuple):
    """A container, or one line on what is wrong and the field of the ask it is about."""

    data: bytes = b""
    problem: str = ""
    field: str = ""


class Wrong(WorkbenchError):
    """One field of an ask is wrong."""

    def __init__(self, field: str, given: str, expected: str, fix: str) -> None:
        super().__init__(given, expected, fix)
        self.field = field

    @classmethod
    def of(cls, field: str, error: WorkbenchError) -> Wrong:
        """Return an error as one about a field."""
        return cls(field, error.given, error.expected, error.fix)


class Wish(NamedTuple):
    """The sleep that is asked for."""

    name: str
    seed: int
    example: int
    input: str
    queries: str
    passes: int


class Asks:
    """Answers of checkpoints, which `load` finds by name; shared by all sessions of a host."""

    def __init__(self, load: Callable[[str], Checkpoint]) -> None:
        self._load = load
        self._scenes = OnceCache(SCENES)
        self._large = OnceCache(LARGE)
        self._heads = OnceCache(HEADS)
        self._wishes: dict[str, Wish] = {}

    def answer(self, ask: Mapping[str, Any]) -> Answer:
        """Answer an ask; errors are part of the answer, never raised."""
        return _answered(ask, {"scene": self.scene, "states": self._states})

    def scene(self, ask: Mapping[str, Any]) -> bytes:
        """Return the scene that is asked for; raises WorkbenchError where something is wrong."""
        checkpoint = self._checkpoint(ask)
        wish = wish_of(ask, checkpoint)
        data, digest, large = self._scenes.get(
            (wish, checkpoint.identity), lambda: self._made(checkpoint, wish)
        )
        if large:
            self._wishes = dict([*self._wishes.items(), (digest, wish)][-SCENES:])
        return data

    def _states(self, ask: Mapping[str, Any]) -> bytes:
        layer, head = (_whole(ask, name, 0, 2**31) for name in ("layer", "head"))
        checkpoint = self._checkpoint(ask)
        wish = self._wishes.get(str(ask.get("digest")))
        if wish is None:
            raise Wrong("digest", "a sleep that is not kept any more", "a recent one", CHOOSE)
        key = (wish, checkpoint.identity)

        def states() -> bytes:
            recording = self._large.get(key, lambda: read_wish(checkpoint, wish))
            return encode(head_of(recording, layer, head))

        return self._heads.get((key, layer, head), states)

    def _checkpoint(self, ask: Mapping[str, Any]) -> Checkpoint:
        name = ask.get("name")
        if not isinstance(name, str):
            raise Wrong("model", f"model {name!r:.60}", "the name of a model", "choose one")
        try:
            return self._load(name)
        except WorkbenchError as error:
            raise Wrong.of("model", error) from None

    def _made(self, checkpoint: Checkpoint, wish: Wish) -> tuple[bytes, str, bool]:
        recording = read_wish(checkpoint, wish)
        scene = scene_of(recording)
        large = bool(scene.header["asked"])
        if large:
            self._large.get((wish, checkpoint.identity), lambda: recording)
        return encode(scene), scene.header["digest"], large


class TraceAsks:
    """Answers of one trace: its examples, at the N it was recorded with."""

    def __init__(self, trace: xr.DataTree) -> None:
        self.trace = trace
        self.examples = int(trace.sizes[dims.EXAMPLE])

    def answer(self, ask: Mapping[str, Any]) -> Answer:
        """Answer an ask; errors are part of the answer, never raised."""
        return _answered(ask, {"scene": self.scene, "states": self._states})

    def scene(self, ask: Mapping[str, Any]) -> bytes:
        """Return the scene that is asked for; raises WorkbenchError where something is wrong."""
        for field in ("input", "queries"):
            if ask.get(field):
                raise Wrong(field, f"{field} for a trace", "none: it was recorded before", TAKE)
        passes = int(self.trace.attrs["n_sleep"])
        if ask.get("N") not in (None, passes):
            raise Wrong("N", f"N = {ask['N']!r:.40} of a trace", f"{passes}, as recorded", TAKE)
        example = _whole(ask, "example", 0, self.examples - 1)
        return encode(scene_of(of_trace(self.trace, example)))

    def _states(self, ask: Mapping[str, Any]) -> bytes:
        layer, head = (_whole(ask, name, 0, 2**31) for name in ("layer", "head"))
        example = self._by_digest.get(str(ask.get("digest")))
        if example is None:
            raise Wrong("digest", "a sleep that is not in the trace", "one of it", CHOOSE)
        return encode(head_of(of_trace(self.trace, example), layer, head))

    @cached_property
    def _by_digest(self) -> dict[str, int]:
        """Each example by the digest of its scene; the first one where two are the same."""
        every = range(self.examples - 1, -1, -1)
        return {digest_of(of_trace(self.trace, n).trace): n for n in every}


def _answered(
    ask: Mapping[str, Any], known: Mapping[str, Callable[[Mapping[str, Any]], bytes]]
) -> Answer:
    what = ask.get("what") if isinstance(ask, Mapping) else None
    if not isinstance(what, str) or what not in known:
        return Answer(problem=f"this host cannot answer {what!r:.60}", field="what")
    try:
        return Answer(known[what](ask))
    except WorkbenchError as error:
        line = " ".join(str(error).split())
        return Answer(problem=line, field=error.field if isinstance(error, Wrong) else "")


def wish_of(ask: Mapping[str, Any], checkpoint: Checkpoint) -> Wish:
    """Return the sleep that an ask names; raises Wrong where a field is out of range."""
    given: dict[str, str] = {}
    for field in ("input", "queries"):
        value = ask.get(field) or ""
        if not isinstance(value, str) or len(value) > LONGEST:
            raise Wrong(
                field,
                f"{field} of {len(value):,} characters"
                if isinstance(value, str)
                else f"{value!r:.40}",
                f"text of at most {LONGEST:,} characters",
                "shorten it",
            )
        given[field] = value.strip()
        if field == "input" and value and not given[field]:
            raise Wrong(field, "input without text", "text to read", "type it, or leave it out")
    if given["queries"] and not given["input"]:
        raise Wrong("queries", "queries without input", "input of your own", "type it, too")
    first = first_passes(checkpoint.sleep)
    passes = _whole(ask, "N", 1, MOST_PASSES, default=first)
    if given["input"]:
        return Wish(checkpoint.name, -1, -1, given["input"], given["queries"], passes)
    seed = _whole(ask, "seed", 0, MOST_SEED, default=0)
    example = _whole(ask, "example", 0, EXAMPLES - 1, default=0)
    return Wish(checkpoint.name, seed, example, "", "", passes)


def read_wish(checkpoint: Checkpoint, wish: Wish) -> Recording:
    """Let a checkpoint sleep as asked for; raises Wrong where own input does not fit its task."""
    return read_example(
        checkpoint.model,
        problem_of(checkpoint, wish),
        checkpoint.sleep.with_passes(wish.passes),
        origin=origin_of(checkpoint, seed=wish.seed),
        number=wish.example,
        examples=EXAMPLES,
    )


def problem_of(checkpoint: Checkpoint, wish: Wish) -> Problem:
    """Return the example that is asked for; raises Wrong where own input does not fit the task."""
    if not wish.input:
        return drawn(checkpoint.task, wish.seed, wish.example)
    wrong = misfit(checkpoint.task, wish.input, wish.queries)
    if wrong is not None:
        raise Wrong.of({"text": "input"}.get(wrong[0], wrong[0]), wrong[1])
    return typed(checkpoint.task, wish.input, wish.queries)


def catalogue_of(folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return what can be chosen, from the configurations of checkpoints alone.

    A folder whose configuration cannot be read is left out.
    """
    found = []
    for name, folder in folders.items():
        try:
            experiment = load_experiment(folder / "config.toml")
            title = make_task(experiment.task).title
        except WorkbenchError:
            continue
        low, high = trained_range(experiment.sleep)
        passes = list(range(low, min(high, MOST_PASSES) + 1))
        found.append(
            {"name": name, "title": name, "task": title, "passes": passes, "examples": EXAMPLES}
        )
    return found


def _whole(
    ask: Mapping[str, Any], field: str, low: int, high: int, default: int | None = None
) -> int:
    value = ask.get(field)
    value = default if value is None and default is not None else value
    if type(value) is not int or not low <= value <= high:
        expected = f"a whole number from {low} to {high}"
        raise Wrong(field, f"{field} = {value!r:.40}", expected, "choose another")
    return value
