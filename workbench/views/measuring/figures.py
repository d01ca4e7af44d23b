"""Which figures a measurement is shown as, with what each says and does not say. No Panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.effects import ablation_map, patch_curves, patch_map
from workbench.figures.lens import lens_over_passes, lens_place
from workbench.figures.probes import probe_curves, probe_map
from workbench.figures.steering import steering_curves
from workbench.figures.theme import Theme

Draw = Callable[[Theme], go.Figure]


class Shown(NamedTuple):
    """One figure.

    Attributes
    ----------
    title : str
        Heading.
    says : str
        What it shows and what it does not, in plain words.
    draw : callable
        Given the theme, returns the figure.
    """

    title: str
    says: str
    draw: Draw


SAYS: Final = {
    "memory": (
        "Shares of S by the pass that wrote them, head by head, because heads matter unequally to "
        "the answers. Two conventions divide S: what a token removes is lost to the older write "
        "(left of each write), or is part of the token's own change (changed by each write). Then "
        "how much each pass changes, how many keys find their own value, and what later windows "
        "leave. The frozen replay writes what the first pass wrote again in every pass. Means "
        "over examples of one model."
    ),
    "lens": (
        "What the model would answer if it woke after each pass, read with the model's own output "
        "layer. Where one window is slept on, waking after pass n is a sleep of n passes, so these "
        "are the accuracies at smaller N, not further evidence for them."
    ),
    "probes": (
        "What a linear probe tells from S after each pass, on examples it has not seen, next to "
        "what the text alone, a frozen replay of the first pass and untrained weights give. "
        "Decodable does not mean used: steering tests that."
    ),
    "steering": (
        "How often an answer follows when S is moved along a probe's direction, as a multiple "
        "of the shortest move that turns the probe, beside moves as long in other directions."
    ),
    "patches": (
        "How many answers become the donor's with a part of its memory, next to an unrelated "
        "donor and chance. An answer that is merely lost already moves the logit difference about "
        "half way, so an effect is shown beyond that of an unrelated donor: 0 is as that one "
        "does, 1 is the donor's answers."
    ),
    "ablations": (
        "What is answered without a part of S. A part set to zero may break a model without "
        "having held anything: compare with its mean over examples."
    ),
    "attribution": (
        "How an answer's logit difference is divided among what the passes changed in S, held "
        "as it was. Unexplained is how badly the parts predict what taking out random halves of "
        "the changes does: 0 is perfect, 1 is no better than nothing. Methods may disagree: then "
        "believe neither."
    ),
    "recovery": ("How much of a window's text a linear decoder recovers from S, at every place."),
    "erasure": (
        "What is recovered after something was done to the memory, and what the model itself then "
        "answers. The decoder is trained again each time, so a fainter S costs it nothing; the "
        "model is not, and it does."
    ),
}
"""What each kind of measurement says."""


MAPS: Final = {
    "accuracy": (
        "Accuracy",
        "Rows: what is asked. Columns: the pass. The majority stands in the curves below.",
    ),
    "gain": (
        "Accuracy minus the best linear baseline",
        "Above zero: more than a linear decoder tells from the text itself, from a frozen replay "
        "of the first pass (from pass 2 on), or from untrained weights.",
    ),
}
"""Maps of probes: quantity -> title, and what it says."""


def figures_of(data: xr.Dataset) -> list[Shown]:
    """Return the figures of a measurement; none for a kind that tables tell better."""
    make = FIGURES.get(str(data.attrs["kind"]))
    return make(data) if make is not None else []


def _named(data: xr.Dataset, window: int) -> str:
    return f", window {window}" if data.sizes[dims.WINDOW] > 1 else ""


def _lens(data: xr.Dataset) -> list[Shown]:
    windows = data[dims.WINDOW].values.tolist()
    last = int(data[dims.SLEEP_PASS][-1])
    passes, boundary = (last,) * len(windows), (len(windows) - 1, last)
    names = [w + 1 for w in windows]

    def draw(theme: Theme) -> go.Figure:
        figure = lens_over_passes(
            data, passes=passes, boundary=boundary, windows=names, theme=theme
        )
        # without the line that follows a cursor: there is none here
        figure.layout.shapes = lens_place(passes=passes, boundary=None, theme=theme)["shapes"]
        return figure

    return [Shown("Answers after each pass", "With 95 % intervals.", draw)]


def _probes(data: xr.Dataset) -> list[Shown]:
    found = []
    for window in data[dims.WINDOW].values.tolist():
        name = _named(data, window)
        for quantity, (title, says) in MAPS.items():
            draw = partial(probe_map, data, quantity=quantity, window=window)
            found.append(Shown(f"{title}{name}", says, partial(_themed, draw)))
        for layer in data[dims.LAYER].values.tolist():
            draw = partial(probe_curves, data, window=window, layer=layer)
            title = f"Beside controls and baselines, layer {layer}{name}"
            says = (
                "Input: what the text read so far says, decoded linearly, or with products of two "
                "of its entries (quadratic). Untrained weights: another model for each split. "
                "Control tasks give labels that mean nothing; 'kinds' one for each type of input."
            )
            found.append(Shown(title, says, partial(_themed, draw)))
    return found


def _patches(data: xr.Dataset) -> list[Shown]:
    found = []
    parts = data[dims.COMPONENT].values.tolist()
    for window in data[dims.WINDOW].values.tolist():
        name = _named(data, window)
        if len(parts) > 1:
            for way in data[dims.DIRECTION].values.tolist():
                for quantity, title in PART_MAPS.items():
                    if quantity in data:
                        draw = partial(
                            patch_map, data, window=window, direction=way, quantity=quantity
                        )
                        title = f"{title}, {way}{name}"
                        found.append(Shown(title, WAYS[way], partial(_themed, draw)))
            continue
        for quantity, title in CURVES.items():
            if quantity in data:
                draw = partial(
                    patch_curves, data, window=window, component=parts[0], quantity=quantity
                )
                says = " ".join(WAYS.values())
                found.append(Shown(f"{title}{name}", says, partial(_themed, draw)))
    return found


CURVES: Final = {
    "became_donor": "Answers that became the donor's",
    "beyond": "Effect beyond an unrelated donor",
}
"""What is drawn of one part by pass, and its heading."""
PART_MAPS: Final = {
    "became_more": "Became the donor's by part, minus an unrelated donor's",
    "beyond": "Effect by part, beyond an unrelated donor's",
}
"""What is drawn of several parts, and its heading."""
WAYS: Final = {
    "denoise": "Denoise: the part goes into the reading of the donor's context; is it enough?",
    "noise": "Noise: the donor's part goes into the recipient's reading; is it needed?",
}


def _ablations(data: xr.Dataset) -> list[Shown]:
    found = []
    for window in data[dims.WINDOW].values.tolist():
        for procedure in data[dims.PROCEDURE].values.tolist():
            draw = partial(ablation_map, data, window=window, procedure=procedure)
            title = f"Change of accuracy, {procedure}{_named(data, window)}"
            says = "Beside each: a random change of S as large."
            found.append(Shown(title, says, partial(_themed, draw)))
    return found


def _steering(data: xr.Dataset) -> list[Shown]:
    found = []
    last = int(data[dims.SLEEP_PASS][-1])
    for layer in data[dims.LAYER].values.tolist():
        draw = partial(steering_curves, data, sleep_pass=last, layer=layer)
        title = f"Answers that follow, layer {layer}, after pass {last}"
        says = "A panel for each target, at the queries that ask for it. Long moves may only break."
        found.append(Shown(title, says, partial(_themed, draw)))
    return found


def _themed(draw: Callable[..., go.Figure], theme: Theme) -> go.Figure:
    return draw(theme=theme)


FIGURES: Final[dict[str, Callable[[xr.Dataset], list[Shown]]]] = {
    "lens": _lens,
    "probes": _probes,
    "steering": _steering,
    "patches": _patches,
    "ablations": _ablations,
}
"""Kinds that have figures; the others have their tables."""
