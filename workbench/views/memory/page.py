"""The memory page: what is in S, how it changes, where it comes from, what can be read from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import panel as pn
import xarray as xr

from workbench import dims, figures
from workbench.figures.theme import Theme
from workbench.instruments.linear import CONVENTIONS
from workbench.views.cursor.cursor import Cursor
from workbench.views.cursor.instrument_card import Instrument, Plot
from workbench.views.cursor.instrument_page import InstrumentScreen, InstrumentView
from workbench.views.cursor.screen import box
from workbench.views.cursor.traces import TraceView
from workbench.views.memory import readings


def _at(traced: TraceView, cursor: Cursor) -> tuple[int, int, int]:
    """Return what every figure of one head depends on, beside its boundary."""
    return traced.position(cursor.example), cursor.layer, cursor.gdn_head


def _stops(traced: TraceView, cursor: Cursor) -> dict[str, Any]:
    return {"passes": traced.passes, "boundary": cursor.boundary}


def _moving(
    function: Callable[..., dict[str, Any]], traced: TraceView, cursor: Cursor
) -> Callable[[Theme], dict[str, Any]]:
    stops = _stops(traced, cursor)
    return lambda theme: function(**stops, theme=theme)


def _here(traced: TraceView, cursor: Cursor) -> str:
    """Return the head and the boundary in words, for a title."""
    window, number = cursor.boundary
    awake = traced.awake[window]
    when = ("after waking" if number else "before waking") if awake else f"pass {number}"
    return f"head {cursor.gdn_head}, window {window + 1}, {when}"


def _shares(traced: TraceView, cursor: Cursor) -> list[Plot]:
    both = readings.shares_at(traced, cursor)
    limit = max(1.0, float(np.nanmax(np.abs(both["share"].values), initial=0.0)))
    key = (*_at(traced, cursor), cursor.boundary)

    def plot(convention: str) -> Plot:
        found = readings.where(traced, cursor.boundary, both.sel({dims.CONVENTION: convention}))
        title = f"head {cursor.gdn_head}, {convention}"

        def draw(theme: Theme) -> Any:
            return figures.share_matrix(
                found, boundary=cursor.boundary, limit=limit, title=title, theme=theme
            )

        return Plot(f"Shares of S by window and pass, {convention}", (convention, *key), draw)

    return [plot(convention) for convention in CONVENTIONS]


def _tokens(traced: TraceView, cursor: Cursor) -> list[Plot]:
    every = readings.tokens_at(traced, cursor)["norm"]
    limit = float(np.nanmax(every.values, initial=0.0))
    found = readings.where(traced, cursor.boundary, every.to_dataset())["norm"]
    symbols, title = traced.symbols(cursor.example), _here(traced, cursor)

    def draw(theme: Theme) -> Any:
        return figures.token_contributions(
            found, symbols, boundary=cursor.boundary, limit=limit, title=title, theme=theme
        )

    return [Plot("Contribution of each token", (*_at(traced, cursor), cursor.boundary), draw)]


def _spectra(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.spectra_at(traced, cursor)
    values = found["singular_value"].isel(
        {dims.WINDOW: cursor.window, dims.GDN_HEAD: cursor.gdn_head}
    )

    def one(theme: Theme) -> Any:
        return figures.singular_values(
            values,
            sleep_pass=cursor.sleep_pass,
            gdn_head=cursor.gdn_head,
            awake=traced.awake[cursor.window],
            theme=theme,
        )

    def ranks(theme: Theme) -> Any:
        return figures.ranks_along(
            found,
            awake=traced.awake,
            selected=cursor.gdn_head,
            **_stops(traced, cursor),
            theme=theme,
        )

    at = _at(traced, cursor)
    return [
        Plot("Singular values of one head", (*at, cursor.boundary), one),
        Plot("Ranks of S by head", at, ranks, _moving(figures.ranks_place, traced, cursor)),
    ]


def _change(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.change_at(traced, cursor)

    def draw(theme: Theme) -> Any:
        return figures.change_against_replay(
            found, awake=traced.awake, **_stops(traced, cursor), theme=theme
        )

    at = _at(traced, cursor)
    moving = _moving(figures.change_place, traced, cursor)
    return [Plot("Change per pass against its replay", at, draw, moving)]


def _retention(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found, inside = (
        readings.retention_at(traced, cursor),
        readings.pass_retention_at(traced, cursor),
    )
    asleep = traced.slept(cursor.window)
    number = cursor.sleep_pass if asleep == cursor.window else 0
    at = (*_at(traced, cursor), cursor.window)
    title = f"window {asleep + 1}"
    several = len(traced.passes) > 1

    def by_age(theme: Theme) -> Any:
        return figures.retention_by_age(found, source_window=cursor.window, theme=theme)

    def by_pass(theme: Theme) -> Any:
        return figures.pass_retention_matrix(
            inside["retention"], sleep_pass=number, title=title, theme=theme
        )

    plots = [Plot("What later windows leave", at, by_age)] if several else []
    return [*plots, Plot("What later passes leave", (*at, number), by_pass)]


def _readout(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found, matrix = readings.readout_at(traced, cursor), readings.crosstalk_at(traced, cursor)
    boundary = readings.crosstalk_boundary(traced, cursor)
    source = traced.slept(boundary.window)
    symbols = traced.symbols(cursor.example)[source]
    title = f"window {boundary.window + 1}, pass {boundary.sleep_pass}"
    at = (*_at(traced, cursor), traced.slept(cursor.window))

    def well(theme: Theme) -> Any:
        return figures.retrieval(
            found,
            awake=traced.awake,
            selected=cursor.gdn_head,
            **_stops(traced, cursor),
            theme=theme,
        )

    def whose(theme: Theme) -> Any:
        return figures.crosstalk_matrix(matrix["weight"], symbols, title=title, theme=theme)

    return [
        Plot("Retrieval by pass", at, well, _moving(figures.retrieval_place, traced, cursor)),
        Plot("Cross-talk between tokens", (*at, boundary), whose),
    ]


def _lens(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.lens_at(traced)
    asleep = [w for w, awake in enumerate(traced.awake) if not awake]
    passes = tuple(traced.passes[w] for w in asleep)
    here = cursor.window in asleep
    boundary = (asleep.index(cursor.window), cursor.sleep_pass) if here else None

    def draw(theme: Theme) -> Any:
        figure = figures.lens_over_passes(
            found,
            passes=passes,
            boundary=boundary or (0, 0),
            windows=[w + 1 for w in asleep],
            theme=theme,
        )
        return figure.update_layout(
            figures.lens_place(passes=passes, boundary=boundary, theme=theme)
        )

    def moving(theme: Theme) -> dict[str, Any]:
        return figures.lens_place(passes=passes, boundary=boundary, theme=theme)

    return [Plot("Answers if it woke after each pass", (), draw, moving)]


def _convergence(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found, alike = readings.convergence_at(traced, cursor), readings.cka_at(traced, cursor)
    at = _at(traced, cursor)
    window = traced.slept(cursor.window)

    def draw(theme: Theme) -> Any:
        return figures.convergence_over_passes(
            found, awake=traced.awake, **_stops(traced, cursor), theme=theme
        )

    def matrix(theme: Theme) -> Any:
        assert alike is not None
        title = f"window {window + 1}"
        return figures.cka_matrix(alike["cka"], examples=traced.examples, title=title, theme=theme)

    def moving(theme: Theme) -> dict[str, Any]:
        return figures.convergence_place(found, **_stops(traced, cursor), theme=theme)

    plots = [Plot("Convergence over the passes", at, draw, moving)]
    if alike is not None:
        plots.append(Plot("Likeness of two passes", (*at[1:], window), matrix))
    return plots


def _lens_data(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    return readings.lens_at(traced)


SHARES: Final = Instrument(
    "shares",
    "Where S comes from",
    "S of the head is a sum of all that was ever written, and each window and pass has its exact "
    "share of it. Shares add up to 100 %; one below zero points against the rest. A token also "
    "removes what S held under its key, and it is a convention whose loss that is: above, the "
    "older write loses it; below, it is part of the token's own change. The two can differ a lot.",
    "Not in it: had an earlier write been different, later tokens would have written other keys "
    "and values. A large share is not a large effect: heads matter unequally to the answers.",
    _shares,
    readings.shares_at,
    figures=2,
    arrangement="stacked",
)
TOKENS: Final = Instrument(
    "tokens",
    "Which tokens wrote it",
    "How large the part of S is that is left of each token's write in each pass, at this boundary: "
    "decay and later keys have already taken from it (the first of the two conventions above).",
    "Large is not useful: parts may cancel each other, and no answer need depend on them.",
    _tokens,
    readings.tokens_at,
)
SPECTRA: Final = Instrument(
    "spectra",
    "How many directions S uses",
    "Singular values of the head, and two counts of the directions that matter: the effective "
    "rank weighs all of them, the stable rank compares them with the largest.",
    "More directions is more room in use, not more knowledge.",
    _spectra,
    readings.spectra_at,
    figures=2,
    arrangement="narrow-wide",
)
CHANGE: Final = Instrument(
    "change",
    "What each pass changes, against a replay",
    "How far the head's S moves in each pass, and how far its two leading directions turn. The "
    "dashed line writes the very same keys and values of pass 1 again and again.",
    "Shrinking changes alone prove nothing: the replay's shrink, too. What differs from it is "
    "what a pass wrote anew.",
    _change,
    readings.change_at,
)
RETENTION: Final = Instrument(
    "retention",
    "How long it stays",
    "What is left of a window's writes after later windows, what took the rest (decay, or later "
    "keys that lie along its own), and the same between the passes of one sleep.",
    "What is still there in norm may have turned, or may no longer be found by any key.",
    _retention,
    readings.retention_at,
    figures=2,
    arrangement="wide-narrow",
)
READOUT: Final = Instrument(
    "readout",
    "What S returns for the keys that wrote it",
    "S is asked with each token's own key of the window slept on last: is the value nearest to "
    "what comes back the token's own, how alike are the two, and whose values come back.",
    "No model is run: what a later question gets out of S with other keys is not in it.",
    _readout,
    readings.readout_at,
    figures=2,
    arrangement="wide-narrow",
)
LENS: Final = Instrument(
    "lens",
    "What would be answered",
    "The model's answers if it woke after each pass, over all examples of this seed, by "
    "difficulty; the dotted lines are what guessing scores.",
    "It does not say which part of S an answer is read from. Where one window is slept on, waking "
    "after pass n is the same reading as a sleep of n passes: it is no second piece of evidence.",
    _lens,
    _lens_data,
)
CONVERGENCE: Final = Instrument(
    "convergence",
    "Does it settle",
    "Steps against the steps before, whether two steps go on or back, and the distance to where "
    "a far longer sleep over this example ends. Likeness (CKA) compares how two passes arrange "
    "all examples.",
    "In windows after the first, a longer sleep began with another memory, and part of the "
    "distance is that.",
    _convergence,
    readings.convergence_at,
    figures=2,
    arrangement="wide-narrow",
)
INSTRUMENTS: Final = (
    SHARES, TOKENS, SPECTRA, CHANGE, RETENTION, READOUT, LENS, CONVERGENCE,
)  # fmt: skip


class MemoryScreen(InstrumentScreen):
    """The panes of the memory page: S, and beside it where it comes from."""

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        cards = {name: one.layout() for name, one in self.cards.items()}
        beside = cards.pop(SHARES.name)
        first = box("main", self.memory(), beside)
        return box("stepper", self.left(), box("right", *self.walk(), first, *cards.values()))


class Memory(InstrumentView):
    """The memory page."""

    title = "Memory"
    instruments = INSTRUMENTS
    near = (SHARES.name,)

    def make_screen(self) -> MemoryScreen:
        """Return the panes."""
        return MemoryScreen(self.names(), **self.screen_options())
