"""What the front end asks of a host: another example, own input, another N, what a lens shows.

An ask is plain data; an answer is a container, plain data, or one line on what is wrong and at
which field. Knows no host. What is made is kept by the content of model and question, in bounded
caches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import xarray as xr

from workbench import dims
from workbench.config import load_experiment
from workbench.errors import WorkbenchError
from workbench.files import stamp
from workbench.once_cache import OnceCache
from workbench.progress import Report
from workbench.tasks import task as make_task
from workbench.theatre import instruments
from workbench.theatre.container import encode
from workbench.theatre.lenses import cause, credit
from workbench.theatre.lenses.examples import examples_of
from workbench.theatre.problem import EXAMPLES, MOST_PASSES, first_passes, trained_range
from workbench.theatre.recording import Recording, gains, of_trace, read_example
from workbench.theatre.scene import digest_of, head_of, is_large, scene_of
from workbench.theatre.study import RESULTS, Study, study_of
from workbench.theatre.traces import OWN, own_trace, own_traces, read_trace
from workbench.theatre.wish import Wish, Wrong, check_plain, line_of, problem_of, whole, wish_of
from workbench.trace import origin_of

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

SCENES: Final = 48
"""Scenes that are kept; one of a bundled model takes about 0.1 MB, none more than 5 MB."""
RECORDINGS: Final = 12
"""Recordings of scenes that hold all states; one of a bundled model takes about 1 MB."""
LARGE: Final = 2
"""Recordings of large scenes that are kept, as heads of them are asked for one by one."""
HEADS: Final = 64
"""States of single heads that are kept."""
READINGS: Final = 4
"""Readings of all examples of a seed that are kept; one of a bundled model takes a few MB, and of
a large model, of which one is kept, some GB."""
SEEDS: Final = 4
"""Seeds of which the traces of all examples are kept, with what was found in them."""
TRIES: Final = 4
"""Examples that are read to find one that shows what passes do."""
TRACES: Final = 2
"""The user's own traces that are kept."""
TAKE: Final = "show the checkpoint that it was recorded from instead"

Kind = Callable[[Mapping[str, Any], Report], bytes | dict[str, Any]]
"""Answers asks of one kind: with a container, or with plain data."""


class Answer(NamedTuple):
    """A container or plain data; or one line on what is wrong, and the field it is about."""

    data: bytes = b""
    result: dict[str, Any] | None = None
    problem: str = ""
    field: str = ""


class Sleeps(ABC):
    """Answers about sleeps of one source: what a scene, a head's states and instruments take."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {
            "scene": lambda ask, _: self.scene(ask),
            "states": self._states,
            "instrument": lambda ask, told: instruments.answer(self._study(ask), ask, told),
        }
        self._heads, self._studies = OnceCache(HEADS), OnceCache(RECORDINGS)

    @abstractmethod
    def check(self, ask: Mapping[str, Any]) -> None:
        """Raise WorkbenchError where an ask names a sleep that there is not; reads nothing."""

    @abstractmethod
    def scene(self, ask: Mapping[str, Any]) -> bytes:
        """Return the scene that is asked for; raises WorkbenchError where something is wrong."""

    @abstractmethod
    def _recording(self, ask: Mapping[str, Any]) -> Recording: ...

    @abstractmethod
    def _study(self, ask: Mapping[str, Any]) -> Study: ...

    def answer(self, ask: Mapping[str, Any], progress: Report | None = None) -> Answer:
        """Answer an ask; errors are part of the answer, never raised."""
        what = ask.get("what") if isinstance(ask, Mapping) else None
        if not isinstance(what, str) or what not in self._kinds:
            said = repr(what[:60]) if isinstance(what, str) else "what is not named"
            return Answer(problem=f"this host cannot answer {said}", field="what")
        try:
            check_plain(ask)
            found = self._kinds[what](ask, progress or (lambda done, total, unit: None))
        except WorkbenchError as error:
            return _failed(error)
        return Answer(found) if isinstance(found, bytes) else Answer(result=found)

    def _states(self, ask: Mapping[str, Any], progress: Report) -> bytes:
        layer, head = (whole(ask, name, 0, 2**31) for name in ("layer", "head"))
        recording = self._recording(ask)
        key = digest_of(recording.trace), layer, head
        return self._heads.get(key, lambda: encode(head_of(recording, layer, head)))


class Asks(Sleeps):
    """Answers of checkpoints, which `load` finds by name; shared by all sessions of a host.

    `traces` returns the folder of the user's own traces, or None.
    """

    def __init__(
        self, load: Callable[[str], Checkpoint], traces: Callable[[], Path | None] = lambda: None
    ) -> None:
        super().__init__()
        self._load, self._folder = load, traces
        self._kinds["cause"] = partial(self._changed, cause.answer)
        self._kinds["credit"] = partial(self._changed, credit.answer)
        self._scenes, self._newest = OnceCache(SCENES), OnceCache(LARGE)
        self._recordings, self._large = OnceCache(RECORDINGS), OnceCache(LARGE)
        self._readings, self._large_reading = OnceCache(READINGS), OnceCache(1)
        self._seeds, self._traces = OnceCache(SEEDS), OnceCache(TRACES)

    def answer(self, ask: Mapping[str, Any], progress: Report | None = None) -> Answer:
        """Answer an ask; errors are part of the answer, never raised."""
        try:
            own = self._own(ask)
        except WorkbenchError as error:
            return _failed(Wrong.of("model", error))
        return own.answer(ask, progress) if own is not None else super().answer(ask, progress)

    def check(self, ask: Mapping[str, Any]) -> None:
        """Raise WorkbenchError where an ask names a sleep that there is not; reads nothing."""
        checkpoint, wish = self._named(ask)
        if wish.input:
            problem_of(checkpoint, wish)

    def scene(self, ask: Mapping[str, Any]) -> bytes:
        """Return the scene that is asked for; raises WorkbenchError where something is wrong.

        Without an example it is the first of `TRIES` whose answers only gain from pass to pass, and
        says so, if that is not the first of all.
        """
        checkpoint, wish = self._named(ask)
        chosen, name = ask.get("example") is None and not wish.input, str(ask["name"])

        def made() -> bytes:
            example = self._gaining(checkpoint, wish) if chosen else wish.example
            scene = scene_of(self.recording(checkpoint, wish._replace(example=example)))
            scene.header["source"]["chosen"] = chosen and example != wish.example
            scene.header["model"]["name"] = name  # by which it is asked for again: ``runs/NAME``
            return encode(scene)

        return self._scenes.get((wish, chosen, checkpoint.identity, name), made)

    def _gaining(self, checkpoint: Checkpoint, wish: Wish) -> int:
        usual = wish._replace(passes=first_passes(checkpoint.sleep))  # the same whatever N is asked
        for example in range(TRIES):
            recording = self.recording(checkpoint, usual._replace(example=example))
            if gains(recording.trace):
                return example
            if is_large(recording.trace):
                break  # reading one more takes too long
        return wish.example

    def recording(self, checkpoint: Checkpoint, wish: Wish) -> Recording:
        """Return a checkpoint's sleep as asked for; raises Wrong where own input does not fit."""
        key = (wish, checkpoint.identity)
        kept: Recording | None = self._recordings.known(key) or self._large.known(key)
        if kept is not None:
            return kept
        found = self._newest.get(key, lambda: read_wish(checkpoint, wish))
        cache = self._large if is_large(found.trace) else self._recordings
        return cache.get(key, lambda: found)

    def _recording(self, ask: Mapping[str, Any]) -> Recording:
        return self.recording(*self._named(ask))

    def _study(self, ask: Mapping[str, Any]) -> Study:
        checkpoint, wish = self._named(ask)
        of = (wish._replace(example=-1), checkpoint.identity)
        shared = self._seeds.get(of, lambda: OnceCache(RESULTS))

        def study() -> Study:
            recording = self.recording(checkpoint, wish)
            return study_of(recording, checkpoint.model, wish.seed, shared)

        return self._studies.get((wish, checkpoint.identity), study)

    def _changed(
        self, answer: Callable[..., Any], ask: Mapping[str, Any], progress: Report
    ) -> bytes | dict[str, Any]:
        checkpoint, wish = self._named(ask)
        large = is_large(self.recording(checkpoint, wish).trace)
        of = wish if wish.input else wish._replace(example=0)
        examples = (self._large_reading if large else self._readings).get(
            (of, checkpoint.identity), lambda: examples_of(checkpoint, wish, large=large)
        )
        found: bytes | dict[str, Any] = answer(examples, max(wish.example, 0), ask, progress)
        return found

    def _named(self, ask: Mapping[str, Any]) -> tuple[Checkpoint, Wish]:
        """Return the checkpoint and the sleep that an ask names."""
        name = ask.get("name")
        if not isinstance(name, str):
            raise Wrong("model", f"model {name!r:.60}", "the name of a model", "choose one")
        try:
            checkpoint = self._load(name)
        except WorkbenchError as error:
            raise Wrong.of("model", error) from None
        return checkpoint, wish_of(ask, checkpoint)

    def _own(self, ask: Mapping[str, Any]) -> TraceAsks | None:
        """Return what answers for one of the user's own traces, if that is asked for."""
        name = ask.get("name") if isinstance(ask, Mapping) else None
        if not isinstance(name, str) or not name.startswith(OWN):
            return None
        path = own_trace(name, self._folder())
        return self._traces.get((path, stamp(path)), lambda: TraceAsks(read_trace(path), name))


class TraceAsks(Sleeps):
    """Answers of one trace: its examples, at the N it was recorded with.

    `name` is that of the user's own trace among the models of a host.
    """

    def __init__(self, trace: xr.DataTree, name: str = "") -> None:
        super().__init__()
        self.trace, self.name, self._shared = trace, name, OnceCache(RESULTS)

    def check(self, ask: Mapping[str, Any]) -> None:
        """Raise WorkbenchError where an ask names a sleep that there is not; reads nothing."""
        self._example(ask)

    def scene(self, ask: Mapping[str, Any]) -> bytes:
        """Return the scene that is asked for; raises WorkbenchError where something is wrong."""
        found = scene_of(self._recording(ask))
        if self.name:
            title = f"{self.name}, a sleep of {found.header['model']['title']}"
            found.header["model"] |= {"name": self.name, "title": title}
        return encode(found)

    def _example(self, ask: Mapping[str, Any]) -> int:
        for field in ("input", "queries"):
            if ask.get(field):
                raise Wrong(field, f"{field} for a trace", "none: it was recorded before", TAKE)
        passes = int(self.trace.attrs["n_sleep"])
        if ask.get("N") not in (None, passes):
            raise Wrong("N", f"N = {ask['N']!r:.40} of a trace", f"{passes}, as recorded", TAKE)
        return whole(ask, "example", 0, int(self.trace.sizes[dims.EXAMPLE]) - 1, default=0)

    def _recording(self, ask: Mapping[str, Any]) -> Recording:
        return of_trace(self.trace, self._example(ask))

    def _study(self, ask: Mapping[str, Any]) -> Study:
        def study() -> Study:
            return Study(self._recording(ask), lambda progress: self.trace, None, self._shared)

        return self._studies.get(self._example(ask), study)


def _failed(error: WorkbenchError) -> Answer:
    return Answer(problem=line_of(error), field=error.field if isinstance(error, Wrong) else "")


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


def catalogue_of(folders: Mapping[str, Path], traces: Path | None = None) -> list[dict[str, Any]]:
    """Return what can be chosen: checkpoints, by their configurations alone, then own traces.

    A folder whose configuration cannot be read is left out; so is what a trace holds.
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
    return found + [
        {"name": name, "title": name, "task": "", "passes": [], "examples": 0}
        for name in own_traces(traces)
    ]
