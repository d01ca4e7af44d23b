"""What the files of a run may hold: checked once, where they are read.

Everything behind these readers relies on the types below. A file that holds something else raises
`UnreadableFile`, with the reason in one line; what a model does not name may be anything, so that
a file may say more than this version knows. Loads no torch: a list of runs imports it too.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workbench.files import MissingFile, UnreadableFile, parse_json, read_json

STATUS, EVENTS, ORIGIN, LABELS = "status.json", "events.jsonl", "origin.json", "labels.json"
PROVENANCE = "checkpoint/provenance.json"
"""Where a finished run says what it came from and what it scored."""


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text).timestamp()
    except (OverflowError, OSError):
        raise ValueError("a year that no clock shows") from None
    return text


Whole = Annotated[int, Field(ge=0, le=10**15)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
PassCount = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,5})$")]
"""N as the name of an entry."""
Level = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
"""A difficulty as the name of an entry."""
Moment = Annotated[str, AfterValidator(_moment)]
"""Date and time, ISO 8601."""


class Open(BaseModel):
    """Base of what a file holds: strict about types, open to further entries."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Line(Open):
    """A chance line."""

    accuracy: dict[Level, Share]
    first: dict[Level, Share] | None = None
    exact: Share | None = None


class Result(Open):
    """What a record keeps of an evaluation at one N."""

    accuracy: dict[Level, Share]
    first: dict[Level, Share] | None = None
    exact: Share
    bits: dict[str, Positive] | None = None


class First(Open):
    """What was measured of the first query of each example."""

    accuracy: dict[Level, Share]


class Bits(Open):
    """Bits per token of a group of tokens."""

    bits: Positive


class Scores(Open):
    """An evaluation at one N, as `workbench.training.evaluation.evaluate` returns it."""

    accuracy: dict[Level, Share]
    exact: Share
    first: First = First(accuracy={})
    chance: dict[str, Line]
    bits: dict[str, Bits] = {}


class Identity(Open):
    """Whose process it is, as `workbench.identity.identify` says."""

    host: str | None = None
    pid: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    started: Positive | None = None
    gpu: Whole | None = None
    cuda: str | None = None


class Status(Identity):
    """``status.json``."""

    state: Literal["queued", "starting", "running", "stopped", "finished", "failed", "died"]
    step: Whole = 0
    steps: Whole = 0
    launcher: bool = False
    queued_at: Positive = 0.0
    error: str | None = None


class Cost(Open):
    """FLOPs of one sequence."""

    training: Positive
    sleep: Positive
    wake: Positive


class Labels(Open):
    """``labels.json``: what a run is in its sweep."""

    sweep: str = ""
    arm: str = ""
    n_train: str = ""
    passes: Annotated[int, Field(ge=0, le=10**6)] | None = None
    axes: dict[str, Any] = {}
    seed: Seed = 0
    cost: Cost | None = None
    identity: str = ""


class Commit(Open):
    """A commit of the checkout."""

    hash: str
    uncommitted_changes: bool = False


class Start(Open):
    """A start of a run, one of those in ``origin.json``."""

    created_at: Moment
    commit: Commit | None = None
    command: str | None = None


class StepEvent(Open):
    """A line of ``events.jsonl``: a training step."""

    kind: Literal["step"]
    step: Whole
    loss: Real
    seconds: Positive


class EvaluationEvent(Open):
    """A line of ``events.jsonl``: an evaluation."""

    kind: Literal["evaluation"]
    step: Whole
    passes: Annotated[dict[PassCount, Scores], Field(min_length=1)]


class Metrics(Open):
    """The evaluation that ended a run."""

    passes: Annotated[dict[PassCount, Scores], Field(min_length=1)]


class Ended(Open):
    """``checkpoint/provenance.json``, as far as a list of runs needs it."""

    metrics: Metrics


class RecordedMetrics(Metrics):
    """The evaluation that ended a run, as far as a record keeps it."""

    task: str
    difficulty: str
    count: Annotated[int, Field(ge=1, le=10**9)]
    seed: Seed


class Provenance(Open):
    """``checkpoint/provenance.json``, as far as a record keeps it."""

    metrics: RecordedMetrics
    commit: Commit | None
    versions: dict[str, str]
    machine: dict[str, Any]
    created_at: Moment
    resumed: list[Any] = []
    hashes: dict[str, str]
    budget: dict[str, Any]


class CheckpointProvenance(Open):
    """``provenance.json`` of any checkpoint."""

    name: str
    hashes: dict[str, Any]
    metrics: dict[str, Any]
    budget: dict[str, Any]


class Progress(Open):
    """The header of a resume point."""

    step: Whole
    seconds: Positive


_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[StepEvent | EvaluationEvent, Field(discriminator="kind")]
)
_STARTS: TypeAdapter[Any] = TypeAdapter(list[Start])


def checked(model: type[BaseModel] | TypeAdapter[Any], value: Any, what: str) -> Any:
    """Return `value`, or raise `UnreadableFile` if `model` refuses it; `what` names it there."""
    check = model.validate_python if isinstance(model, TypeAdapter) else model.model_validate
    try:
        check(value)
    except ValidationError as error:
        raise UnreadableFile(
            f"{what} is damaged ({reason(error)})",
            "what this version writes",
            "remove or replace it",
        ) from None
    return value


def reason(error: ValidationError) -> str:
    """Return the first thing wrong, in a few words: ``step is None``."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "missing":
        return f"{where} is missing"
    text = repr(first["input"])
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return f"{where} is {shown}" if where else f"it holds {shown}"


def read_status(folder: Path) -> dict[str, Any]:
    """Return a run's ``status.json``, as `Status` describes it.

    Raises `UnreadableFile` if it is damaged, `MissingFile` if there is none; so do the others.
    """
    return _read(Status, folder / STATUS)


def read_labels(folder: Path) -> dict[str, Any]:
    """Return a run's ``labels.json``; empty if there is none."""
    return _read_if_there(Labels, folder / LABELS) or {}


def read_origin(path: Path) -> list[dict[str, Any]]:
    """Return the starts in an ``origin.json``, none if there is none yet."""
    return _read_if_there(_STARTS, path) or []


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return the evaluation that ended a run, empty if it left none."""
    found = _read_if_there(Ended, folder / PROVENANCE)
    return found["metrics"] if found else {}


def read_ended(folder: Path) -> dict[str, Any]:
    """Return the provenance of a finished run."""
    return _read(Provenance, folder / PROVENANCE)


def read_event(line: bytes) -> dict[str, Any] | None:
    """Return the event in a line of ``events.jsonl``; None where it holds none."""
    try:
        return checked(_EVENT, parse_json(line, what="a line"), "a line")
    except UnreadableFile:
        return None


def _read(model: type[BaseModel] | TypeAdapter[Any], path: Path) -> Any:
    return checked(model, read_json(path), str(path))


def _read_if_there(model: type[BaseModel] | TypeAdapter[Any], path: Path) -> Any:
    try:
        return _read(model, path)
    except MissingFile:
        return None
