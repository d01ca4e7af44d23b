"""One example's sleep as a scene: a header of plain data, and arrays; pure.

A scene holds everything that a screen needs to play a sleep without asking again. Where all states
would make it larger than `LARGEST`, it holds the overview alone, and ``header["asked"]`` names the
arrays that `head_of` gives for one layer and head.

Arrays, by ``boundary`` (all boundaries in order):

- overview: ``norm``, ``relative_change`` (layer, gdn_head); ``memory_change``;
  ``right_probability``, ``correct``, ``given`` (query); and from a model ``probability`` (query,
  candidate);
- by head: ``fast_weight`` (layer, gdn_head, key, value); ``effective_rank``, ``baseline_change``
  (layer, gdn_head); ``share`` (layer, gdn_head, token); and of the pass that ends here
  ``write_key``, ``write_value``, ``beta``, ``log_decay`` (layer, gdn_head, token_in_entry, ...).

What is unknown is NaN: changes and writes at pass 0, shares of a memory that is 0. ``missing``
says why an array is not there.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.change import changes_of, frozen_replay
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.recorded import recorded, states_of
from workbench.instruments.spectra import spectra_of
from workbench.theatre.container import Scene
from workbench.theatre.header import header_of
from workbench.theatre.recording import Layout, Recording, part_of

LARGEST: Final = 5_000_000
"""Bytes of a scene that holds all states; a larger one holds the overview."""
MOST_WORK: Final = 200_000_000
"""Most (token, head, entry of S) that are gone through for shares; more is asked for by head."""
HALF: Final = (1e-2, 6e4)
"""Largest absolute values that float16 is fine enough for, and can hold."""

OVER: Final = (dims.BOUNDARY, dims.LAYER, dims.GDN_HEAD)
ASKED: Final = (
    "fast_weight", "effective_rank", "baseline_change", "share",
    "write_key", "write_value", "beta", "log_decay",
)  # fmt: skip
"""Arrays by head, which a large scene leaves out."""

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]


def scene_of(recording: Recording) -> Scene:
    """Return the scene of one example's sleep."""
    trace = recording.trace
    layout = Layout.of(trace)
    arrays = _overview(trace, layout) | _answers(recording, layout)
    missing: dict[str, str] = {}
    asked = ASKED if is_large(trace) else ()
    if not asked:
        by_head, missing = _by_head(trace, layout)
        arrays |= by_head
    header = header_of(recording, layout)
    header |= {"asked": list(asked), "missing": missing, "digest": digest_of(trace)}
    return Scene(header, xr.Dataset(arrays))


def head_of(recording: Recording, layer: int, head: int) -> Scene:
    """Return what a large scene left out for one layer, an index of the stack, and one head.

    Its header says ``patch: "states"`` and has the scene's digest. Raises WorkbenchError: there is
    no such layer or head.
    """
    one = part_of(recording.trace, layer, head)
    arrays, missing = _by_head(one, Layout.of(recording.trace))
    header = {"patch": "states", "digest": digest_of(recording.trace), "missing": missing}
    return Scene(header | {"layer": layer, "head": head}, xr.Dataset(arrays))


def is_large(trace: xr.DataTree) -> bool:
    """Return whether a trace's scene holds the overview alone."""
    layout, states = Layout.of(trace), states_of(trace)
    layers, heads, keys, values = states.shape[3:]
    longest = max(stop - start for start, stop in layout.spans)
    tokens = trace.attrs["sequence_length"]
    by_head = 2 * (keys * values + tokens + longest * (keys + values + 2))
    passes = [
        n * (stop - start) for n, (start, stop) in zip(layout.passes, layout.spans, strict=True)
    ]
    work = sum(passes) * layers * heads * keys * max(keys, values)
    return len(layout.boundaries) * layers * heads * by_head > LARGEST or work > MOST_WORK


def digest_of(trace: xr.DataTree) -> str:
    """Return the SHA-256 of what a sleep was made from: weights, input, and how the model slept.

    Without a digest of the weights, the sizes of the states stand for them.
    """
    attributes = trace.attrs
    found = hashlib.sha256(
        json.dumps([attributes["checkpoint_sha256"], attributes["sleep_json"]]).encode()
    )
    inputs = trace["inputs"].to_dataset()
    for name in ("tokens", "valid", "loss_mask", "answer_of"):
        found.update(np.ascontiguousarray(inputs[name].values).tobytes())
    if not attributes["checkpoint_sha256"]:
        found.update(recorded(trace, "states", "norm").values.tobytes())
    return found.hexdigest()


def _overview(trace: xr.DataTree, layout: Layout) -> Variables:
    states = states_of(trace).isel({dims.EXAMPLE: 0})
    norm = recorded(trace, "states", "norm").transpose(..., dims.LAYER, dims.GDN_HEAD).values[0]
    relative, squared = [], 0.0
    for layer in range(states.sizes[dims.LAYER]):  # one at a time: in float64 all are large
        change = changes_of(states.isel({dims.LAYER: [layer]}), modes=0)
        relative.append(change["relative_change"].values)
        squared = squared + (change["delta_norm"].values.astype(np.float64) ** 2).sum((-2, -1))
    size = (norm.astype(np.float64) ** 2).sum((-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.sqrt(squared / size)
    flat = layout.flat
    return {
        "norm": (OVER, flat(norm).astype(np.float32)),
        "relative_change": (OVER, flat(np.concatenate(relative, 2)).astype(np.float32)),
        "memory_change": ((dims.BOUNDARY,), flat(whole).astype(np.float32)),
    }


def _by_head(trace: xr.DataTree, layout: Layout) -> tuple[Variables, dict[str, str]]:
    """Return the arrays by head, and why some are missing."""
    states = states_of(trace).isel({dims.EXAMPLE: 0})
    flat = layout.flat
    found: Variables = {
        "fast_weight": ((*OVER, dims.KEY, dims.VALUE), _half(flat(states.values))),
        "effective_rank": (OVER, flat(spectra_of(states)["effective_rank"].values)),
    }
    missing: dict[str, str] = {}
    if "writes" not in trace.children:
        reason = "the trace was recorded without writes"
        return found, {name: reason for name in ASKED if name not in found}
    replayed = changes_of(frozen_replay(trace).isel({dims.EXAMPLE: 0}), modes=0)
    baseline = flat(replayed["relative_change"].values).astype(np.float32)
    awake = np.array([layout.awake[entry] for entry, _ in layout.boundaries])
    baseline[awake] = np.nan
    found["baseline_change"] = OVER, baseline
    try:
        found["share"] = (*OVER, dims.TOKEN), _half(_shares(trace, layout))
    except WorkbenchError as error:
        missing["share"] = error.given
    for name, last in (
        ("write_key", dims.KEY), ("write_value", dims.VALUE), ("beta", ""), ("log_decay", ""),
    ):  # fmt: skip
        axes = (dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.TOKEN)
        written = recorded(trace, "writes", name).isel({dims.EXAMPLE: 0})
        values = written.transpose(*axes, *filter(None, [last])).values
        nothing = np.full_like(values[:, :1], np.nan)  # no pass ends at pass 0
        values = np.concatenate((nothing, values), axis=1)
        over = (*OVER, dims.TOKEN_IN_ENTRY, *filter(None, [last]))
        found[name] = over, _half(flat(values))
    return found, missing


def _shares(trace: xr.DataTree, layout: Layout) -> np.ndarray:
    """Return each token's share of S, ``[boundary, layer, gdn_head, token]``; NaN where S = 0."""
    by_pass = contribution_norms(trace, every_pass=True, every_token=True)["share"]
    by_pass = by_pass.isel({dims.EXAMPLE: 0}).transpose(
        dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD,
        dims.SOURCE_WINDOW, dims.SOURCE_PASS, dims.SOURCE_TOKEN,
    )  # fmt: skip
    values = layout.flat(by_pass.values)
    unknown = np.isnan(values).all(axis=(-3, -2, -1))
    each = np.nansum(values, axis=-2)  # (boundary, layer, gdn_head, source_window, source_token)
    found = np.zeros((*each.shape[:3], trace.attrs["sequence_length"]))
    for entry, (start, stop) in enumerate(layout.spans):  # a window may be read twice
        found[..., start:stop] += each[..., entry, : stop - start]
    found[unknown] = np.nan
    return found


def _answers(recording: Recording, layout: Layout) -> Variables:
    """Return what the model would answer at each boundary, or has answered awake before.

    A window read awake is asked before it is read; until it is asked again, an answer stands.
    """
    trace = recording.trace
    inputs = trace["inputs"].to_dataset().isel({dims.EXAMPLE: 0})
    asked = np.flatnonzero(inputs["difficulty"].values >= 0)
    readout = {
        name: recorded(trace, "readout", name).isel({dims.EXAMPLE: 0})
        .transpose(dims.WINDOW, dims.SLEEP_PASS, dims.QUERY).values[..., asked]
        for name in ("log_prob", "correct")
    }  # fmt: skip
    count = (len(layout.boundaries), len(asked))
    right, correct = np.full(count, np.nan, np.float32), np.zeros(count, np.uint8)
    given = np.zeros(count, np.uint8)
    names = recording.asked.names if recording.asked is not None else []
    probability = np.full((*count, len(names)), np.nan, np.float16)
    for row, (entry, sleep_pass) in enumerate(layout.boundaries):
        if row:
            for array in (right, correct, given, probability):
                array[row] = array[row - 1]
        log_prob, is_right = (readout[name][entry, sleep_pass] for name in ("log_prob", "correct"))
        score = (recording.scores or {}).get((entry, sleep_pass))
        if score is not None:
            log_prob, is_right = (score[name].values[0, asked] for name in ("log_prob", "correct"))
        known = np.isfinite(log_prob)
        right[row, known], correct[row, known] = np.exp(log_prob[known]), is_right[known]
        answers = (recording.answers or {}).get((entry, sleep_pass))
        if answers is not None:
            values = answers["probability"].values
            known = np.isfinite(values).all(axis=1)
            probability[row, known] = values[known]
        if layout.awake[entry] and sleep_pass == layout.passes[entry]:
            given[row] |= np.isin(asked, inputs["answer_of"].values[entry]).astype(np.uint8)
    over = (dims.BOUNDARY, dims.QUERY)
    found: Variables = {
        "right_probability": (over, right), "correct": (over, correct), "given": (over, given),
    }  # fmt: skip
    if names:
        found["probability"] = (*over, dims.CANDIDATE), probability
    return found


def _half(values: np.ndarray) -> np.ndarray:
    """Return values as float16 where that is fine enough, else as float32."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return values.astype(np.float16 if HALF[0] <= largest <= HALF[1] else np.float32)
