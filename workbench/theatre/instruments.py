"""The instruments of the lens "memory": their figures, what those show, and their numbers.

Each is one entry of `INSTRUMENTS`. A figure is drawn for the boundary that is asked for, and for
all boundaries if so asked; knows no host.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims, figures
from workbench.figures.theme import Theme
from workbench.files import parse_json
from workbench.instruments.linear import CONVENTIONS
from workbench.progress import Report
from workbench.theatre import study as at
from workbench.theatre.csv_text import csv_of
from workbench.theatre.recording import part_of
from workbench.theatre.study import Place, Study
from workbench.theatre.wish import Wrong, whole

MOST_BYTES: Final = 1_500_000
"""Bytes of all figures that one answer holds; a boundary whose figure is left out is asked for."""
THEMES: Final = ("light", "dark")
OVER_EXAMPLES: Final = ("lens",)
"""Instruments that take all examples, which a large model reads for a while."""


@dataclass(frozen=True)
class Plot:
    """One figure of an instrument; `label` names it for screen readers.

    Where `key` is the same at two boundaries, so is the figure. `make` and `moving` are called with
    the `theme`: they return the figure, and the part of its layout that follows the boundary.
    """

    label: str
    key: Hashable
    make: Callable[..., go.Figure]
    moving: Callable[..., dict[str, Any]] | None = None


@dataclass(frozen=True)
class Instrument:
    """One instrument: `shows` and `omits` say in plain words what it does and does not show.

    `plots` returns as many figures at every place. `data` returns the numbers behind them.
    """

    title: str
    shows: str
    omits: str
    plots: Callable[[Study, Place], Sequence[Plot]]
    data: Callable[[Study, Place], xr.Dataset]


def answer(study: Study, ask: Mapping[str, Any], progress: Report) -> dict[str, Any]:
    """Return an instrument's figures, or its numbers as CSV (``csv``), as plain data.

    The ask has ``instrument``, ``layer``, ``head``, ``window`` (a reading), ``pass``; ``theme``;
    and ``every``: whether the figures of all boundaries are drawn. Of each plot: ``label``;
    ``figures``; ``at``, which of them each boundary has, -1 where it was not drawn; ``moving``,
    the layout of each boundary, or None.
    """
    name = str(ask.get("instrument"))
    if name not in INSTRUMENTS:
        known = ", ".join(INSTRUMENTS)
        raise Wrong("instrument", f"instrument {name[:40]!r}", f"one of {known}", "choose one")
    instrument, place = INSTRUMENTS[name], _place_of(study, ask)
    if name in OVER_EXAMPLES:
        study.read_all(progress)
    if ask.get("csv"):
        return {"csv": csv_of(instrument.data(study, place)), "file": _file(study, place, name)}
    theme = ask.get("theme", "light")
    if theme not in THEMES:
        raise Wrong("theme", f"theme {theme!r:.40}", " or ".join(THEMES), "choose one")
    drawn = _drawn(instrument, study, place, theme, every=bool(ask.get("every")))
    about = {"title": instrument.title, "shows": instrument.shows, "omits": instrument.omits}
    return {"instrument": name, **about, "plots": drawn}


def _place_of(study: Study, ask: Mapping[str, Any]) -> Place:
    entry = whole(ask, "window", 0, len(study.layout.passes) - 1)
    sleep_pass = whole(ask, "pass", 0, study.layout.passes[entry])
    layer, head = (whole(ask, field, 0, 2**31) for field in ("layer", "head"))
    part_of(study.recording.trace, layer, head)  # raises if the head does not exist
    return Place(entry, sleep_pass, layer, head)


def _file(study: Study, place: Place, name: str) -> str:
    attributes, number = study.recording.trace.attrs, study.recording.number
    which = "own-input" if number < 0 else f"seed-{attributes['seed']}-example-{number}"
    model = str(attributes["checkpoint"] or "trace").replace("/", "-")
    sleep = f"n-{attributes['n_sleep']}-layer-{place.layer}-head-{place.head}"
    return f"{model}-{which}-{sleep}-{name}.csv"


def _drawn(
    instrument: Instrument, study: Study, place: Place, theme: Theme, *, every: bool
) -> list[dict[str, Any]]:
    boundaries = study.layout.boundaries
    here = boundaries.index(place.boundary)
    each = [
        instrument.plots(study, place._replace(entry=entry, sleep_pass=sleep_pass))
        for entry, sleep_pass in boundaries
    ]
    size = 0
    found = []
    for plots in zip(*each, strict=True):  # one figure at every boundary
        drawn: dict[Hashable, int] = {}
        shown: list[Any] = []
        for plot in (plots[here], *(plots if every else ())):
            if plot.key in drawn or (shown and size > MOST_BYTES):
                continue
            text = plot.make(theme=theme).to_json()
            size += len(text)
            drawn[plot.key] = len(shown)
            shown.append(parse_json(text, what="a figure"))
        moving = [plot.moving and plot.moving(theme=theme) for plot in plots]
        found.append(
            {
                "label": plots[here].label,
                "figures": shown,
                "at": [drawn.get(plot.key, -1) for plot in plots],
                "moving": moving if moving[here] else None,
            }
        )
    return found


def _stops(study: Study, place: Place) -> dict[str, Any]:
    return {"passes": study.layout.passes, "boundary": place.boundary}


def _along(study: Study, place: Place) -> dict[str, Any]:
    return {"awake": study.layout.awake, **_stops(study, place)}


def _here(study: Study, place: Place) -> str:
    """Return the head and the boundary in words, for a title."""
    awake = study.layout.awake[place.entry]
    when = "after waking" if place.sleep_pass else "before waking"
    when = when if awake else f"pass {place.sleep_pass}"
    return f"head {place.head}, window {place.entry + 1}, {when}"


def _shares(study: Study, place: Place) -> list[Plot]:
    def draw(convention: str, theme: Theme) -> go.Figure:
        both = at.shares_at(study, place)
        return figures.share_matrix(
            at.where(place, both.sel({dims.CONVENTION: convention})),
            boundary=place.boundary,
            limit=max(1.0, float(np.nanmax(np.abs(both["share"].values), initial=0.0))),
            title=f"head {place.head}, {convention}",
            theme=theme,
        )

    return [
        Plot(f"Shares of S by window and pass, {name}", place.boundary, partial(draw, name))
        for name in CONVENTIONS
    ]


def _tokens(study: Study, place: Place) -> list[Plot]:
    def draw(theme: Theme) -> go.Figure:
        every = at.tokens_at(study, place)["norm"]
        return figures.token_contributions(
            at.where(place, every.to_dataset())["norm"],
            study.symbols,
            boundary=place.boundary,
            limit=float(np.nanmax(every.values, initial=0.0)),
            title=_here(study, place),
            theme=theme,
        )

    return [Plot("Contribution of each token", place.boundary, draw)]


def _spectra(study: Study, place: Place) -> list[Plot]:
    found = at.spectra_at(study, place)

    def one(theme: Theme) -> go.Figure:
        values = found["singular_value"].isel({dims.WINDOW: place.entry, dims.GDN_HEAD: place.head})
        return figures.singular_values(
            values,
            sleep_pass=place.sleep_pass,
            gdn_head=place.head,
            awake=study.layout.awake[place.entry],
            theme=theme,
        )

    ranks = partial(figures.ranks_along, found, selected=place.head, **_along(study, place))
    moving = partial(figures.boundary_cursor, 2, **_stops(study, place))
    return [
        Plot("Singular values of one head", place.boundary, one),
        Plot("Ranks of S by head", "all", ranks, moving),
    ]


def _change(study: Study, place: Place) -> list[Plot]:
    found = at.change_at(study, place)
    draw = partial(figures.change_against_replay, found, **_along(study, place))
    moving = partial(figures.boundary_cursor, 3, **_stops(study, place))
    return [Plot("Change per pass against its replay", "all", draw, moving)]


def _retention(study: Study, place: Place) -> list[Plot]:
    found = at.retention_at(study, place)
    inside = at.pass_retention_at(study, place)
    asleep = study.slept(place.entry)
    number = place.sleep_pass if asleep == place.entry else 0
    by_age = partial(figures.retention_by_age, found, source_window=place.entry)
    by_pass = partial(
        figures.pass_retention_matrix,
        inside["retention"],
        sleep_pass=number,
        title=f"window {asleep + 1}",
    )
    several = len(study.layout.passes) > 1
    plots = [Plot("What later windows leave", place.entry, by_age)] if several else []
    return [*plots, Plot("What later passes leave", (asleep, number), by_pass)]


def _readout(study: Study, place: Place) -> list[Plot]:
    boundary, source = at.after_a_pass(study, place), study.slept(place.entry)

    def well(theme: Theme) -> go.Figure:
        found = at.readout_at(study, place)
        return figures.retrieval(found, selected=place.head, theme=theme, **_along(study, place))

    def whose(theme: Theme) -> go.Figure:
        return figures.crosstalk_matrix(
            at.crosstalk_at(study, place)["weight"],
            study.symbols[study.slept(boundary[0])],
            title=f"window {boundary[0] + 1}, pass {boundary[1]}",
            theme=theme,
        )

    moving = partial(figures.boundary_cursor, 2, **_stops(study, place))
    return [
        Plot("Retrieval by pass", source, well, moving),
        Plot("Cross-talk between tokens", boundary, whose),
    ]


def _lens(study: Study, place: Place) -> list[Plot]:
    found = at.lens_at(study, place)
    asleep = found[dims.WINDOW].values.tolist()  # those after which something is answered
    passes = tuple(study.layout.passes[w] for w in asleep)
    here = place.entry in asleep
    boundary = (asleep.index(place.entry), place.sleep_pass) if here else None
    draw = partial(
        figures.lens_over_passes,
        found,
        passes=passes,
        boundary=boundary,
        windows=[w + 1 for w in asleep],
    )
    moving = partial(figures.boundary_cursor, 2, passes=passes, boundary=boundary)
    return [Plot("Answers if it woke after each pass", "all", draw, moving)]


def _convergence(study: Study, place: Place) -> list[Plot]:
    found, alike = at.convergence_at(study, place), at.cka_at(study, place)
    draw = partial(figures.convergence_over_passes, found, **_along(study, place))
    panels = 2 + ("distance" in found)
    moving = partial(figures.boundary_cursor, panels, **_stops(study, place))
    plots = [Plot("Convergence over the passes", "all", draw, moving)]
    if alike is not None:
        window = study.slept(place.entry)
        matrix = partial(
            figures.cka_matrix,
            alike["cka"],
            examples=study.recording.examples,
            title=f"window {window + 1}",
        )
        plots.append(Plot("Likeness of two passes", window, matrix))
    return plots


INSTRUMENTS: Final[dict[str, Instrument]] = {
    "shares": Instrument(
        "Where S comes from",
        "S of the head is the sum of everything that was ever written, and each window and "
        "pass has its exact share of it. Shares add up to 100 %; a negative share points "
        "against the rest. A token also removes what S held under its key. Which write loses "
        "that is a convention: above, the older write loses it; below, it is part of the "
        "token's own change. The two can differ a lot.",
        "Not included: had an earlier write been different, later tokens would have written "
        "other keys and values. A large share is not a large effect: heads differ in how "
        "much they matter to the answers.",
        _shares,
        at.shares_at,
    ),
    "tokens": Instrument(
        "Which tokens wrote it",
        "How much of each token's write in each pass is left in S at this boundary, after "
        "what decay and later keys have taken from it: an older write loses what a later "
        "token removes.",
        "Large does not mean useful: parts may cancel each other, and the answers need not "
        "depend on them.",
        _tokens,
        at.tokens_at,
    ),
    "spectra": Instrument(
        "How many directions S uses",
        "Singular values of the head, and two counts of the directions that matter: the "
        "effective rank weighs all of them, the stable rank compares them with the largest.",
        "More directions mean more room in use, not more knowledge.",
        _spectra,
        at.spectra_at,
    ),
    "change": Instrument(
        "What each pass changes, against a replay",
        "How far the head's S moves in each pass, and how far its two leading directions "
        "turn. The dashed line writes the keys and values of pass 1 again in every pass.",
        "Shrinking changes alone prove nothing: the replay's shrink, too. The difference "
        "from the replay is what a pass wrote that was new.",
        _change,
        at.change_at,
    ),
    "retention": Instrument(
        "How long it stays",
        "How much of a window's writes is left after later windows, what took the rest "
        "(decay, or later keys that lie along its own), and the same between the passes of "
        "one sleep.",
        "What is still there in norm may have turned, or may no longer be found by any key.",
        _retention,
        at.retention_at,
    ),
    "readout": Instrument(
        "What S returns for the keys that wrote it",
        "S is queried with each token's own key from the last window slept on: is the value "
        "nearest to what comes back the token's own, how alike are the two, and whose values "
        "come back?",
        "No model is run, so it does not show what a later question gets out of S with other keys.",
        _readout,
        at.readout_at,
    ),
    "lens": Instrument(
        "What would be answered",
        "The model's answers if it woke after each pass, over all examples of this seed, by "
        "difficulty; the dotted lines are what guessing scores.",
        "It does not say which part of S an answer is read from. Where one window is slept "
        "on, waking after pass n is the same reading as a sleep of n passes, not a second "
        "piece of evidence.",
        _lens,
        at.lens_at,
    ),
    "convergence": Instrument(
        "Does it settle",
        "Each step compared with the one before, whether two steps go on or back, and the "
        "distance to where a far longer sleep over this example ends. Likeness (CKA) compares"
        " how two passes arrange all examples.",
        "In windows after the first, the longer sleep began with another memory, which is "
        "part of the distance.",
        _convergence,
        at.convergence_at,
    ),
}
