"""What the answers become with another context's memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, Settings, drawn
from workbench.measurements.parts import Parts, part_words, parts_of
from workbench.measurements.tables import by_label, by_level, by_pass, by_window, grid, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class PatchSettings(Settings):
    """What the answers become with another context's memory.

    Attributes
    ----------
    parts : {"whole", "layers", "heads", "passes"}
        What is exchanged: all of S, each layer, each head, or what each pass changed.
    asked : {"all", "first of window", "first"}
        Queries that are measured; later ones see earlier answers.
    """

    examples: int = Field(128, ge=2, le=100_000)
    parts: Parts = "whole"
    asked: Literal["all", "first of window", "first"] = "all"


def run(checkpoint: Checkpoint, settings: PatchSettings, reporter: Reporter) -> xr.Dataset:
    """Exchange parts between pairs of examples, both ways and with controls."""
    from workbench.instruments.interventions import patch_effects
    from workbench.instruments.patching.context_swaps import fitting
    from workbench.instruments.patching.effects import patches_by_difficulty

    (recipient, sleep), (donor, _) = (drawn(checkpoint, settings, step=step) for step in (0, 1))
    fits = fitting(checkpoint.task, recipient, donor)
    recipient, donor = recipient.examples(fits), donor.examples(fits)
    parts, places = parts_of(checkpoint, recipient, sleep, settings.parts)
    effects = patch_effects(
        checkpoint.model,
        checkpoint.task,
        recipient,
        donor,
        sleep,
        components=parts,
        asked=settings.asked,
        seed=settings.seed,
        on_progress=reporter.counter(2 * 3 * len(parts) * places),
    )
    return patches_by_difficulty(effects).assign_attrs(pairs=int(fits.sum()))


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return how many answers became the donor's, and the effect beyond an unrelated donor.

    By pass, with the controls; with several parts, at the last pass.
    """
    found = {}
    parts, controls = data[dims.COMPONENT].values.tolist(), by_label(data, dims.CONTROL)
    for title, window in by_window(data).items():
        here = data.sel({dims.WINDOW: window, dims.DIRECTION: "noise"})
        if len(parts) > 1:
            here = here.isel({dims.SLEEP_PASS: -1})
            places = by_label(data, dims.COMPONENT)
            down = {
                part if control == "patch" else f"{part}, {control}": at | held
                for part, at in places.items()
                for control, held in controls.items()
            }
        else:
            here = here.isel({dims.COMPONENT: 0})
            places = by_pass(here, first=1)
            down = {
                f"{name}, {control}": at | held
                for control, held in controls.items()
                for name, at in places.items()
            }
        levels = by_level(here)
        rows = grid(here, "became_donor", down, levels, corner="became the donor's")
        if "chance" in here:
            chance = [number(float(here["chance"].sel(at))) for at in levels.values()]
            rows.append(["chance: another context's answer", *chance])
        found[f"became the donor's{title}"] = rows
        if "beyond" in here:
            corner = "effect beyond an unrelated donor"
            found[f"{corner}{title}"] = grid(here, "beyond", places, levels, corner=corner)
    return found


CURVES: Final = {
    "became_donor": "Answers that became the donor's",
    "beyond": "Effect beyond an unrelated donor",
}
"""What is drawn of one part by pass, and its heading."""
MAPS: Final = {
    "became_more": "Became the donor's by part, minus an unrelated donor's",
    "beyond": "Effect by part, beyond an unrelated donor's",
}
"""What is drawn of several parts, and its heading."""
WAYS: Final = {
    "denoise": "Denoise: the part goes into the reading of the donor's context; is it enough?",
    "noise": "Noise: the donor's part goes into the recipient's reading; is it needed?",
}


def charts(data: xr.Dataset) -> list[Chart]:
    """Return curves over passes of one part, or maps of several, of each window."""
    from workbench.figures.effects import patch_curves, patch_map

    found = []
    parts = data[dims.COMPONENT].values.tolist()
    curves, maps = ({q: t for q, t in of.items() if q in data} for of in (CURVES, MAPS))
    for name, window in by_window(data).items():
        if len(parts) == 1:
            for quantity, title in curves.items():
                draw = partial(
                    patch_curves, data, window=window, component=parts[0], quantity=quantity
                )
                found.append(Chart(f"{title}{name}", " ".join(WAYS.values()), draw))
            continue
        for way in data[dims.DIRECTION].values.tolist():
            for quantity, title in maps.items():
                draw = partial(patch_map, data, window=window, direction=way, quantity=quantity)
                found.append(Chart(f"{title}, {way}{name}", WAYS[way], draw))
    return found


def concludes(data: xr.Dataset) -> str:
    """Return the part that brings the most of the donor's answers, and what an unrelated brings."""
    here = data["became_donor"].isel({dims.WINDOW: -1, dims.SLEEP_PASS: -1})
    here = here.sel({dims.DIRECTION: "noise"}).mean(dims.DIFFICULTY)
    patch, other = (here.sel({dims.CONTROL: c}) for c in ("patch", "unrelated donor"))
    if bool(patch.isnull().all()):
        return ""
    at = patch.argmax([dims.COMPONENT])
    part = data[dims.COMPONENT].values[int(at[dims.COMPONENT])]
    return (
        f"With {part_words(part)} of the donor, {number(float(patch.isel(at)))} of the answers "
        f"become the donor's; with that of an unrelated one {number(float(other.isel(at)))}."
    )


PATCHES = Measurement(
    asks="Do the answers follow another context's memory?",
    concludes=concludes,
    title="Answers with another context's memory",
    order=50,
    says=(
        "How many answers become the donor's with a part of its memory, next to an unrelated "
        "donor and chance. An answer that is merely lost already moves the logit difference about "
        "half way, so an effect is shown beyond that of an unrelated donor: 0 is as that one "
        "does, 1 is the donor's answers."
    ),
    settings=PatchSettings,
    run=run,
    tables=tables,
    charts=charts,
    words={
        "patch": (
            "Putting a part of one reading's S, the donor's, in another one's, the recipient's."
        ),
        "unrelated donor": (
            "A patch from a context that has nothing to do with the question: it loses the "
            "recipient's answer and does not bring the donor's. An effect beyond it counts from "
            "there."
        ),
        "noise, denoise": (
            "The two ways of a patch: the donor's part goes into the recipient's reading (is the "
            "part needed?), or the recipient's into the donor's (is it enough?)."
        ),
    },
)
