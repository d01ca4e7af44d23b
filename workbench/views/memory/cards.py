"""The cards of the memory page: figures of each instrument, and what it shows and does not show."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from workbench import dims, figures
from workbench.instruments.linear import CONVENTIONS
from workbench.views.cursor.cursor import Cursor
from workbench.views.cursor.traces import TraceView
from workbench.views.memory import readings
from workbench.views.memory.card import Instrument, Plot


def _at(traced: TraceView, cursor: Cursor) -> tuple[int, int, int]:
    """Return what every figure of one head depends on, besides its boundary."""
    return traced.position(cursor.example), cursor.layer, cursor.gdn_head


def _stops(cursor: Cursor) -> dict[str, Any]:
    return {"passes": cursor.extent.passes, "boundary": cursor.boundary}


def _along(cursor: Cursor) -> dict[str, Any]:
    return {"awake": cursor.extent.awake, **_stops(cursor)}


def _here(cursor: Cursor) -> str:
    """Return the head and the boundary in words, for a title."""
    window, number = cursor.boundary
    awake = cursor.extent.awake[window]
    when = ("after waking" if number else "before waking") if awake else f"pass {number}"
    return f"head {cursor.gdn_head}, window {window + 1}, {when}"


def _shares(traced: TraceView, cursor: Cursor) -> list[Plot]:
    both = readings.shares_at(traced, cursor)
    limit = max(1.0, float(np.nanmax(np.abs(both["share"].values), initial=0.0)))
    key = (*_at(traced, cursor), cursor.boundary)
    return [
        Plot(
            f"Shares of S by window and pass, {convention}",
            (convention, *key),
            partial(
                figures.share_matrix,
                readings.where(cursor, both.sel({dims.CONVENTION: convention})),
                boundary=cursor.boundary,
                limit=limit,
                title=f"head {cursor.gdn_head}, {convention}",
            ),
        )
        for convention in CONVENTIONS
    ]


def _tokens(traced: TraceView, cursor: Cursor) -> list[Plot]:
    every = readings.tokens_at(traced, cursor)["norm"]
    draw = partial(
        figures.token_contributions,
        readings.where(cursor, every.to_dataset())["norm"],
        traced.symbols(cursor.example),
        boundary=cursor.boundary,
        limit=float(np.nanmax(every.values, initial=0.0)),
        title=_here(cursor),
    )
    return [Plot("Contribution of each token", (*_at(traced, cursor), cursor.boundary), draw)]


def _spectra(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.spectra_at(traced, cursor)
    values = found["singular_value"].isel(
        {dims.WINDOW: cursor.window, dims.GDN_HEAD: cursor.gdn_head}
    )
    one = partial(
        figures.singular_values,
        values,
        sleep_pass=cursor.sleep_pass,
        gdn_head=cursor.gdn_head,
        awake=cursor.extent.awake[cursor.window],
    )
    ranks = partial(figures.ranks_along, found, selected=cursor.gdn_head, **_along(cursor))
    at = _at(traced, cursor)
    return [
        Plot("Singular values of one head", (*at, cursor.boundary), one),
        Plot("Ranks of S by head", at, ranks, partial(figures.ranks_place, **_stops(cursor))),
    ]


def _change(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.change_at(traced, cursor)
    draw = partial(figures.change_against_replay, found, **_along(cursor))
    moving = partial(figures.change_place, **_stops(cursor))
    return [Plot("Change per pass against its replay", _at(traced, cursor), draw, moving)]


def _retention(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.retention_at(traced, cursor)
    inside = readings.pass_retention_at(traced, cursor)
    asleep = cursor.extent.slept(cursor.window)
    number = cursor.sleep_pass if asleep == cursor.window else 0
    at = (*_at(traced, cursor), cursor.window)
    by_age = partial(figures.retention_by_age, found, source_window=cursor.window)
    by_pass = partial(
        figures.pass_retention_matrix,
        inside["retention"],
        sleep_pass=number,
        title=f"window {asleep + 1}",
    )
    several = len(cursor.extent.passes) > 1
    plots = [Plot("What later windows leave", at, by_age)] if several else []
    return [*plots, Plot("What later passes leave", (*at, number), by_pass)]


def _readout(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found, matrix = readings.readout_at(traced, cursor), readings.crosstalk_at(traced, cursor)
    boundary = readings.crosstalk_boundary(cursor)
    source = cursor.extent.slept(boundary.window)
    well = partial(figures.retrieval, found, selected=cursor.gdn_head, **_along(cursor))
    whose = partial(
        figures.crosstalk_matrix,
        matrix["weight"],
        traced.symbols(cursor.example)[source],
        title=f"window {boundary.window + 1}, pass {boundary.sleep_pass}",
    )
    at = (*_at(traced, cursor), cursor.extent.slept(cursor.window))
    moving = partial(figures.retrieval_place, **_stops(cursor))
    return [
        Plot("Retrieval by pass", at, well, moving),
        Plot("Cross-talk between tokens", (*at, boundary), whose),
    ]


def _lens(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found = readings.lens_at(traced, cursor)
    asleep = found[dims.WINDOW].values.tolist()  # those after which something is answered
    passes = tuple(cursor.extent.passes[w] for w in asleep)
    here = cursor.window in asleep
    boundary = (asleep.index(cursor.window), cursor.sleep_pass) if here else None
    draw = partial(
        figures.lens_over_passes,
        found,
        passes=passes,
        boundary=boundary,
        windows=[w + 1 for w in asleep],
    )
    moving = partial(figures.lens_place, passes=passes, boundary=boundary)
    return [Plot("Answers if it woke after each pass", (), draw, moving)]


def _convergence(traced: TraceView, cursor: Cursor) -> list[Plot]:
    found, alike = readings.convergence_at(traced, cursor), readings.cka_at(traced, cursor)
    at = _at(traced, cursor)
    draw = partial(figures.convergence_over_passes, found, **_along(cursor))
    moving = partial(figures.convergence_place, found, **_stops(cursor))
    plots = [Plot("Convergence over the passes", at, draw, moving)]
    if alike is not None:
        window = cursor.extent.slept(cursor.window)
        matrix = partial(
            figures.cka_matrix,
            alike["cka"],
            examples=traced.examples,
            title=f"window {window + 1}",
        )
        plots.append(Plot("Likeness of two passes", (*at[1:], window), matrix))
    return plots


SHARES: Final = Instrument(
    "shares",
    "Where S comes from",
    "S of the head is the sum of everything that was ever written, and each window and pass has "
    "its exact share of it. Shares add up to 100 %; a negative share points against the rest. A "
    "token also removes what S held under its key. Which write loses that is a convention: above, "
    "the older write loses it; below, it is part of the token's own change. The two can differ a "
    "lot.",
    "Not included: had an earlier write been different, later tokens would have written other keys "
    "and values. A large share is not a large effect: heads differ in how much they matter to the "
    "answers.",
    _shares,
    readings.shares_at,
    figures=2,
    arrangement="stacked",
)
TOKENS: Final = Instrument(
    "tokens",
    "Which tokens wrote it",
    "How much of each token's write in each pass is left in S at this boundary, after what decay "
    "and later keys have taken from it (the first of the two conventions above).",
    "Large does not mean useful: parts may cancel each other, and the answers need not depend on "
    "them.",
    _tokens,
    readings.tokens_at,
)
SPECTRA: Final = Instrument(
    "spectra",
    "How many directions S uses",
    "Singular values of the head, and two counts of the directions that matter: the effective "
    "rank weighs all of them, the stable rank compares them with the largest.",
    "More directions mean more room in use, not more knowledge.",
    _spectra,
    readings.spectra_at,
    figures=2,
    arrangement="narrow-wide",
)
CHANGE: Final = Instrument(
    "change",
    "What each pass changes, against a replay",
    "How far the head's S moves in each pass, and how far its two leading directions turn. The "
    "dashed line writes the keys and values of pass 1 again in every pass.",
    "Shrinking changes alone prove nothing: the replay's shrink, too. The difference from the "
    "replay is what a pass wrote that was new.",
    _change,
    readings.change_at,
)
RETENTION: Final = Instrument(
    "retention",
    "How long it stays",
    "How much of a window's writes is left after later windows, what took the rest (decay, or "
    "later keys that lie along its own), and the same between the passes of one sleep.",
    "What is still there in norm may have turned, or may no longer be found by any key.",
    _retention,
    readings.retention_at,
    figures=2,
    arrangement="wide-narrow",
)
READOUT: Final = Instrument(
    "readout",
    "What S returns for the keys that wrote it",
    "S is queried with each token's own key from the last window slept on: is the value nearest "
    "to what comes back the token's own, how alike are the two, and whose values come back?",
    "No model is run, so it does not show what a later question gets out of S with other keys.",
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
    "after pass n is the same reading as a sleep of n passes, not a second piece of evidence.",
    _lens,
    readings.lens_at,
)
CONVERGENCE: Final = Instrument(
    "convergence",
    "Does it settle",
    "Each step compared with the one before, whether two steps go on or back, and the distance to "
    "where a far longer sleep over this example ends. Likeness (CKA) compares how two passes "
    "arrange all examples.",
    "In windows after the first, the longer sleep began with another memory, which is part of the "
    "distance.",
    _convergence,
    readings.convergence_at,
    figures=2,
    arrangement="wide-narrow",
)
INSTRUMENTS: Final = (
    SHARES, TOKENS, SPECTRA, CHANGE, RETENTION, READOUT, LENS, CONVERGENCE,
)  # fmt: skip
