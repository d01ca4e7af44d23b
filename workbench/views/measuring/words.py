"""A measurement that is asked for: what its form shows, what was typed, and how far it is in words.

Everything follows from the kinds of `workbench.lab.kinds`. Imports no Panel and no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from workbench.files import UnreadableFile, read_json
from workbench.lab.kinds import KINDS, Settings, kind_of
from workbench.lab.measuring import Progress
from workbench.lab.settings import Setting, fields_of

TITLES: Final = {"passes": "Passes (N)"}
"""Fields whose name alone says too little."""
HALF: Final = 0.5


@dataclass(frozen=True)
class Checked:
    """Settings that were typed, and what is wrong with them.

    Attributes
    ----------
    settings : Settings or None
        None where anything is wrong.
    problems : dict of str to str
        The reason, by field.
    """

    settings: Settings | None
    problems: dict[str, str]


def fields(kind: str) -> dict[str, Setting]:
    """Return what a kind asks for, by the name of the field."""
    found = fields_of(kind, kind_of(kind).settings)
    return {setting.name.rpartition(".")[2]: setting for setting in found}


def usual(kind: str) -> dict[str, str]:
    """Return the text that each field begins with."""
    values = kind_of(kind).settings().model_dump(mode="json")
    return texts(kind, values)


def texts(kind: str, values: dict[str, Any]) -> dict[str, str]:
    """Return settings as they stand in the fields; what is not given is as usual."""
    whole = kind_of(kind).settings().model_dump(mode="json") | values
    return {name: setting.text(whole[name]) for name, setting in fields(kind).items()}


def check(kind: str, typed: dict[str, str]) -> Checked:
    """Read what was typed; whatever is wrong is told at its field."""
    asked = fields(kind)
    data = {name: setting.parse(typed[name]) for name, setting in asked.items() if name in typed}
    try:
        return Checked(kind_of(kind).settings.model_validate(data), {})
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else next(iter(asked))
            given = "nothing" if problem["input"] in ("", None) else repr(problem["input"])
            said = f"{given} given; expected {asked[name].expected}"
            if asked[name].optional:
                said += ", or nothing"
            problems.setdefault(name, said)
        return Checked(None, problems)


def spec(kind: str) -> list[dict[str, Any]]:
    """Return the fields of a kind as the browser builds them."""
    found = []
    for name, setting in fields(kind).items():
        words = setting.describes
        if setting.bounds:
            words = f"{words} {setting.bounds[0].upper()}{setting.bounds[1:]}."
        title = TITLES.get(name, setting.title[0].upper() + setting.title[1:])
        found.append(
            {
                "name": name,
                "title": title,
                "hint": words.strip(),
                "kind": setting.kind,
                "choices": list(setting.choices),
            }
        )
    return found


def weights_of(folder: Path) -> str:
    """Return the hash of a checkpoint's weights, read from its provenance; "" where it has none."""
    try:
        return str(read_json(folder / "provenance.json")["hashes"]["model.safetensors"])
    except (UnreadableFile, KeyError, TypeError, IndexError):
        return ""


def checkpoint_name(checkpoint: str) -> str:
    """Return the name of a checkpoint that a request gives by name or folder."""
    path = Path(checkpoint)
    return f"runs/{path.parent.name}" if path.name == "checkpoint" else checkpoint


def title_of(kind: str, checkpoint: str) -> str:
    """Return what is measured on what: ``Probes: depo-n8-any``."""
    return f"{kind.capitalize()}: {checkpoint_name(checkpoint)}"


def plain_title(kind: str, checkpoint: str) -> str:
    """Return the same for a menu, as forms call the kind: ``Answers if ...: depo-n8-any``."""
    return f"{kind_of(kind).title}: {checkpoint_name(checkpoint)}"


def settings_words(kind: str, values: dict[str, Any]) -> str:
    """Return the settings that are not as usual, in words; "usual settings" where all are."""
    if kind not in KINDS:
        return ""
    plain, given = usual(kind), texts(kind, values)
    differ = [f"{n.replace('_', ' ')} {given[n]}" for n in plain if given[n] != plain[n]]
    return ", ".join(differ) or "usual settings"


def progress_words(progress: Progress) -> str:
    """Return how far it is: share, rate and time left, as far as anybody can know."""
    if progress.state == "done":
        return f"done in {time_words(progress.seconds)}"
    if progress.state != "running":
        return ""
    if not progress.total or not progress.done:
        what = "first step" if progress.working else "starting"
        return f"{what}, {time_words(progress.seconds)} so far"
    parts = [f"{100 * share_of(progress):.0f} %", _rate(progress)]
    if progress.remaining == 0:
        parts.append("finishing")
    elif progress.remaining is not None:
        parts.append(f"about {time_words(progress.remaining)} left")
    return ", ".join(parts)


def share_of(progress: Progress) -> float:
    """Return which share is done, 0 to 1."""
    return min(progress.done / progress.total, 1.0) if progress.total else 0.0


def time_words(seconds: float) -> str:
    """Return a length of time, rounded."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rate(progress: Progress) -> str:
    """Return the mean rate of its work, with a time that makes it readable."""
    steps = progress.total > 1  # else shares of the work are told
    done, unit = (progress.done, "steps") if steps else (100 * progress.done, "%")
    rate, time = done / max(progress.working, 1e-3), "s"
    if rate < HALF:
        rate, time = 60 * rate, "min"
    return f"{rate:.1f} {unit}/{time}"
