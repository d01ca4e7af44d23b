"""The story in six scenes, as data: a sentence, a prediction, and the place where it comes true."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.files import read_toml
from workbench.validation import build

TITLE: Final = "How a language model sleeps: a story in six scenes"
STORY: Final = Path(__file__).with_name("story.toml")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Place(_Part):
    """A place in the theatre, by the names of its address; a field left out stays as it is."""

    model: str | None = None
    seed: int | None = None
    example: int | None = None
    N: int | None = Field(None, ge=1)
    window: int | None = Field(None, ge=0)
    sleep_pass: int | None = Field(None, alias="pass", ge=0)
    layer: int | None = None
    head: int | None = None
    query: int | None = None
    show: Literal["state", "change", "sleep_change"] | None = None
    lens: Literal["memory", "cause", "credit"] | None = None
    action: str | None = None
    part: str | None = None
    donor: int | None = None


class StoryScene(_Part):
    """One scene; `right` counts choices from 0, `page` is where its evidence is in the dashboards.

    The theatre stands at `place` until the prediction is made, and then at `place` with `then`.
    """

    title: str
    sentence: str
    question: str
    choices: list[str] = Field(min_length=2, max_length=4)
    right: int = Field(ge=0)
    why: str
    place: Place
    then: Place
    evidence: str = ""
    page: str = ""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.right >= len(self.choices):
            raise ValueError(f"let right be one of the {len(self.choices)} choices, from 0")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("make the choices differ")
        missing = [n for n in ("model", "seed", "example", "N") if getattr(self.place, n) is None]
        if missing:
            raise ValueError(f"give the place {', '.join(missing)}")
        return self


class Story(_Part):
    """All scenes, in order."""

    scene: list[StoryScene] = Field(min_length=1)


def read_story(path: Path) -> Story:
    """Read a story; raises WorkbenchError with one line on what is wrong."""
    return build(Story, read_toml(path), source=path.name)


@cache
def story() -> Story:
    """Return the story that comes with the workbench."""
    return read_story(STORY)


def story_data() -> list[dict[str, Any]]:
    """Return the scenes as the front end takes them."""
    return story().model_dump(by_alias=True, exclude_none=True)["scene"]


def story_asks() -> list[dict[str, Any]]:
    """Return the ask for each sleep of the story, in order; then each N between, to try out."""
    places = [scene.place for scene in story().scene]
    first = places[0]
    most = max(place.N or 1 for place in places)
    between = [first.model_copy(update={"N": n}) for n in range(1, most)]
    asks = [
        {"what": "scene", "name": p.model, "seed": p.seed, "example": p.example, "N": p.N}
        for p in [*places, *between]
    ]
    return [ask for number, ask in enumerate(asks) if ask not in asks[:number]]
