"""What the page of attribution asks for, and the work that is done for it. Knows no Panel."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from itertools import count
from typing import Any, ClassVar, Final

import numpy as np
import param
import torch
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.checks import randomisation_check
from workbench.instruments.attributing.one_answer import (
    SUBJECTS,
    Asked,
    Stopped,
    attribute_one,
    baselines_of,
)
from workbench.instruments.attribution import EXACT_PLAYERS, METHODS
from workbench.views.cursor.cursor import Cursor
from workbench.views.cursor.reading import Examples

logger = logging.getLogger(__name__)

BASELINES: Final = ("before the sleep", "mean", "another example", "zero")
MOST_SAMPLES: Final = 10_000
"""Orders drawn for Shapley values at most, as in a measurement over many examples."""
CHECK_SEEDS: Final = (0, 1, 2)
"""Shuffled copies of the model that an attribution is compared with."""

_ONE_AT_A_TIME = threading.Lock()
"""For all sessions: samples are drawn from torch's own generator, which threads share."""


class AttributionCursor(Cursor):
    """Which answer, what it is attributed to, and how."""

    url: ClassVar[Mapping[str, str]] = {
        "checkpoint": "checkpoint",
        "seed": "seed",
        "example": "example",
        "passes": "N",
        "query": "query",
        "subject": "to",
        "method": "method",
        "baseline": "baseline",
        "steps": "steps",
        "samples": "samples",
        "window": "window",
        "sleep_pass": "pass",
        "layer": "layer",
    }

    subject: Any = param.Selector(
        default="passes and heads", objects=list(SUBJECTS), doc="What is attributed to."
    )
    method: Any = param.Selector(default=METHODS[0], objects=list(METHODS), doc="How.")
    baseline: Any = param.Selector(
        default=BASELINES[0], objects=list(BASELINES), doc="What is compared with."
    )
    steps = param.Integer(64, bounds=(2, 1000), doc="Points of the path of integrated gradients.")
    samples = param.Integer(25, bounds=(1, MOST_SAMPLES), doc="Orders drawn for Shapley values.")

    def offered(self, name: str, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what the menu of a parameter offers; of methods those that suit the subject."""
        known = SUBJECTS[str(values.get("subject", self.subject))]
        of_subject = {"method": known.methods, "baseline": known.baselines}
        if name not in of_subject:
            return super().offered(name, values)
        return {text: text for text in of_subject[name]}


def put_right(cursor: AttributionCursor, examples: Examples) -> list[tuple[str, str]]:
    """Replace choices of the cursor that make no sense here.

    Return the name in the address of each that changed, and a sentence.
    """
    changed: dict[str, Any] = {}
    subject = cursor.subject
    if subject not in subjects(examples):
        subject = changed["subject"] = "tokens"
    known = SUBJECTS[subject]
    if cursor.method not in known.methods:
        changed["method"] = known.methods[0]
    method = changed.get("method", cursor.method)
    baselines = baselines_of(subject, method, cursor.boundary)
    if cursor.baseline not in baselines:
        changed["baseline"] = baselines[0]
    said = [
        (
            cursor.url[name],
            f"{cursor.url[name]} {getattr(cursor, name)!r} makes no sense here; {value!r} is used",
        )
        for name, value in changed.items()
    ]
    cursor.param.update(**changed)
    return said


def subjects(examples: Examples) -> list[str]:
    """Return what answers of a reading can be attributed to; one window is not a choice."""
    several = len(examples.extent.passes) > 2
    return [name for name in SUBJECTS if name != "windows" or several]


def asked_of(cursor: AttributionCursor, examples: Examples) -> Asked:
    """Return the question that a cursor names."""
    numbers = np.flatnonzero(examples.batch.difficulty[cursor.example] >= 0)
    query = int(numbers[min(cursor.query, len(numbers) - 1)])
    kind = SUBJECTS[cursor.subject].kind
    window = examples.slept_before(cursor.window, cursor.example, query)
    boundary = {"embeddings": (0, 0), "changes": (window, 0), "state": tuple(cursor.boundary)}[kind]
    return Asked(
        example=cursor.example,
        query=query,
        subject=cursor.subject,
        boundary=(boundary[0], boundary[1]),
        method=cursor.method,
        baseline=cursor.baseline,
        steps=cursor.steps if cursor.method == METHODS[0] else Asked.steps,
        samples=cursor.samples if cursor.method == METHODS[3] else Asked.samples,
        seed=cursor.seed,
    )


def sampled(asked: Asked, examples: Examples) -> bool:
    """Say whether orders are drawn: Shapley values of few parts are exact."""
    context = examples.context(asked.example, asked.query)
    sizes = {
        dims.TOKEN: context,
        dims.WINDOW: -(-context // examples.sleep.window),
        dims.SLEEP_PASS: max(examples.passes),
        dims.LAYER: len(examples.extent.layers),
        dims.GDN_HEAD: examples.extent.heads,
    }
    by = SUBJECTS[asked.subject].by
    return asked.method == METHODS[3] and math.prod(sizes[axis] for axis in by) > EXACT_PLAYERS


def result_key(asked: Asked, against: int | None = None) -> Hashable:
    """Return the key of an attribution, or of its comparison with shuffled parameters."""
    return "attribution", asked, against


class Work:
    """One attribution, or its check, in a separate thread.

    That thread calls `on_change` with the work on progress and at the end. `against` is the symbol
    of a finished attribution, which is then compared with shuffled parameters. `state` is
    "waiting", "running", "done", "cancelled" or "failed"; `done` and `total` count runs of the
    rest of the computation.
    """

    def __init__(
        self,
        examples: Examples,
        asked: Asked,
        on_change: Callable[[Work], None],
        *,
        against: int | None = None,
    ) -> None:
        self.examples, self.asked, self.against = examples, asked, against
        self.state, self.done, self.total = "waiting", 0, 0
        self.result: xr.Dataset | None = None
        self.error: Exception | None = None
        self._on_change = on_change
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def key(self) -> Hashable:
        """What all sessions find the result under, with the reading."""
        return result_key(self.asked, self.against)

    def start(self) -> None:
        """Begin."""
        _AT_WORK.add(self)
        self._thread.start()

    def cancel(self) -> None:
        """End it as soon as what is being computed together is done."""
        self._stop.set()

    def wait(self, timeout: float = 60.0) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "cancelled", "failed")

    def _run(self) -> None:
        try:
            self._on_change(self)
            while not _ONE_AT_A_TIME.acquire(timeout=0.1):
                if self._stop.is_set():
                    raise Stopped
            try:
                self.state = "running"
                torch.set_num_threads(1)  # of this thread
                make = self._attributed if self.against is None else self._checked
                self.result = self.examples.ask(self.key, make)
                self.state = "done"
            finally:
                _ONE_AT_A_TIME.release()
        except Stopped:
            self.state = "cancelled"
        except Exception as error:  # it goes to the user
            if not isinstance(error, WorkbenchError):
                logger.exception("attribution failed")
            self.state, self.error = "failed", error
        self._on_change(self)

    def _progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self._on_change(self)

    def _attribute(self, model: Any, **options: Any) -> xr.Dataset:
        examples, stop = self.examples, self._stop.is_set
        return attribute_one(
            model, examples.batch, examples.sleep, self.asked, stop=stop, **options
        )

    def _attributed(self) -> xr.Dataset:
        examples = self.examples
        options = {"reading": examples.boundaries, "on_progress": self._progress}
        return self._attribute(examples.checkpoint.model, **options).isel({dims.EXAMPLE: 0})

    def _checked(self) -> xr.Dataset:
        rounds, number = 1 + len(CHECK_SEEDS), count()
        against = np.array([self.against])

        def attributed(model: Any) -> xr.DataArray:
            before = next(number)

            def further(done: int, total: int) -> None:
                self._progress(before * total + done, rounds * total)

            return self._attribute(model, against=against, on_progress=further)["attribution"]

        model = self.examples.checkpoint.model
        return randomisation_check(attributed, model, seeds=CHECK_SEEDS).isel({dims.EXAMPLE: 0})


_AT_WORK: weakref.WeakSet[Work] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End what is running before the process ends: torch must not be interrupted in the middle."""
    works = list(_AT_WORK)
    for work in works:
        work.cancel()
    for work in works:
        work.wait(10.0)
