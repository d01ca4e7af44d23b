"""The written schema of a trace, ``sleep-trace/2``, and the check that a tree keeps to it.

A trace is a plain `xarray.DataTree`::

    /           attrs: schema, created_at, code_version, torch_version, device, backend, seed, task,
                config_json, sleep_json, vocabulary_json, checkpoint, checkpoint_sha256, n_sleep,
                window_size, sequence_length; example, window; asleep, n_passes (window)
    /inputs     tokens, valid, loss_mask, answer_of (example, window, token);
                difficulty (example, query)
    /states     norm (example, window, sleep_pass = 0..N, layer, gdn_head);
                on request fast_weight (..., key, value)
    /writes     on request: write_key, write_value (example, window, sleep_pass = 1..N, layer,
                gdn_head, token, key or value); beta, log_decay (..., token); corrects (layer)
    /hidden     on request: residual (example, window, sleep_pass = 1..N, layer, token, channel)
    /readout    log_prob, rank, logit_diff, correct (example, window, sleep_pass = 0..N, query)

Where layers or heads were chosen, layer names those that are there, and gdn_head has a coordinate,
the index of each head in its layer; without one all heads are there. /hidden has the chosen layers.

and any groups that instruments attached. sleep_pass 0 is what was carried into the window. Floats
are NaN after a window's last pass, and in the readout also in windows read awake and for queries
that were not asked, where rank is -1.

Where sleep.order is predict_then_sleep, the axis window has two entries for a window that is read
awake and then slept on; of_window (window) says which window of the text an entry is about. The
readout of a wake is at sleep_pass 0: the answers that it gives, and those of windows to come.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from workbench import dims
from workbench.config import MOST_PASSES
from workbench.errors import WorkbenchError

SCHEMA = "sleep-trace/2"
EARLIER = "sleep-trace/1"
"""As `SCHEMA`, but for the names of three inputs; `load_trace` still reads it."""
_RENAMED = {"token_id": "tokens", "valid_mask": "valid", "is_target": "loss_mask"}

OF_WINDOW = "of_window"
"""Coordinate: index of the window that each entry of the axis window reads, where they differ."""

ATTRIBUTES: dict[str, type] = {
    **dict.fromkeys((
        "schema", "created_at", "code_version", "torch_version", "device", "backend", "task",
        "config_json", "sleep_json", "vocabulary_json", "checkpoint", "checkpoint_sha256",
    ), str),
    **dict.fromkeys(("seed", "n_sleep", "window_size", "sequence_length"), int),
}  # fmt: skip
"""Attributes of the root. Empty text, or seed -1, means not provided."""

ATTACHED = (
    "spectra", "change", "provenance", "retention", "key_readout", "convergence", "lens", "probes",
    "steering", "attribution", "interventions", "privacy",
)  # fmt: skip
"""Groups of results that may be attached; each instrument chooses the content."""

_TOKENS = (dims.EXAMPLE, dims.WINDOW, dims.TOKEN)
_LAYERS = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER)
_HEADS = (*_LAYERS, dims.GDN_HEAD)
_QUERIES = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.QUERY)


class Variable(NamedTuple):
    """What a variable of a group must look like."""

    dims: tuple[str, ...]
    """Its axes, in order."""
    kinds: str
    """numpy's letters of the dtypes it may have: b, i, f."""
    needed: bool = True
    """Whether its group always has it."""


GROUPS: dict[str, dict[str, Variable]] = {
    "inputs": {
        "tokens": Variable(_TOKENS, "i"),
        "valid": Variable(_TOKENS, "b"),
        "loss_mask": Variable(_TOKENS, "b"),
        "answer_of": Variable(_TOKENS, "i"),
        "difficulty": Variable((dims.EXAMPLE, dims.QUERY), "i"),
    },
    "states": {
        "fast_weight": Variable((*_HEADS, dims.KEY, dims.VALUE), "f", needed=False),
        "norm": Variable(_HEADS, "f"),
    },
    "writes": {
        "write_key": Variable((*_HEADS, dims.TOKEN, dims.KEY), "f"),
        "write_value": Variable((*_HEADS, dims.TOKEN, dims.VALUE), "f"),
        "beta": Variable((*_HEADS, dims.TOKEN), "f"),
        "log_decay": Variable((*_HEADS, dims.TOKEN), "f"),
    },
    "hidden": {"residual": Variable((*_LAYERS, dims.TOKEN, dims.CHANNEL), "f")},
    "readout": {
        "log_prob": Variable(_QUERIES, "f"),
        "rank": Variable(_QUERIES, "i"),
        "logit_diff": Variable(_QUERIES, "f"),
        "correct": Variable(_QUERIES, "b"),
    },
}
NEEDED = ("inputs", "states", "readout")
FIRST_PASS = {"states": 0, "readout": 0, "writes": 1, "hidden": 1}
"""First sleep_pass of a group."""


def upgraded(groups: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return a trace's groups by path in the names of `SCHEMA`, if they have those of `EARLIER`."""
    if groups["/"].attrs.get("schema") != EARLIER or "/inputs" not in groups:
        return groups
    inputs = groups["/inputs"]
    names = {old: new for old, new in _RENAMED.items() if old in inputs}
    root = groups["/"].assign_attrs(schema=SCHEMA)
    return groups | {"/": root, "/inputs": inputs.rename(names)}


def validate_trace(tree: xr.DataTree) -> None:
    """Check that a tree is a whole trace of this schema.

    Raises WorkbenchError: the schema is another; a group, variable or attribute is missing,
    unknown, or has other axes, sizes or dtype; or something that must be recorded is NaN.
    """
    _check_root(tree)
    groups = [name for name in GROUPS if name in tree.children]
    for name in NEEDED:
        if name not in groups:
            raise _wrong(f"no group /{name}", f"/{', /'.join(NEEDED)}")
    for name in tree.children:
        if name not in GROUPS and name not in ATTACHED:
            raise _wrong(f"a group /{name}", f"/{', /'.join([*GROUPS, *ATTACHED])}")
    for name in groups:
        if tree[name].children:
            raise _wrong(f"groups inside /{name}", "none there")
        _check_variables(name, tree[name].dataset)
    _check_sizes(tree, groups)
    _check_numbers(tree)
    for node in tree.subtree:
        _check_plain(node)
    _check_recorded(tree)


def _check_root(tree: xr.DataTree) -> None:
    found = tree.attrs.get("schema")
    if found != SCHEMA:
        raise WorkbenchError(
            f"a trace of schema {found!r}" if found else "a tree without a schema",
            SCHEMA,
            "record it again with this version",
        )
    for name, kind in ATTRIBUTES.items():
        value = tree.attrs.get(name)
        if not isinstance(value, kind):
            raise _wrong(f"the attribute {name} = {value!r}", kind.__name__)
    for name in ("config_json", "sleep_json", "vocabulary_json"):
        try:
            json.loads(tree.attrs[name] or "null")
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            raise _wrong(f"{name} that is not JSON ({reason})", "JSON, or nothing") from None
    for name in (dims.EXAMPLE, dims.WINDOW):
        if name not in tree.coords or tree.coords[name].dims != (name,):
            raise _wrong(f"no coordinate {name}", "example and window at the root")
    if not all(tree.sizes[name] for name in (dims.EXAMPLE, dims.WINDOW)):
        raise _wrong(f"{dict(tree.sizes)}", "at least one example and one window")
    for name, letter in (("asleep", "b"), ("n_passes", "i")):
        values = tree.coords.get(name)
        if values is None or values.dims != (dims.WINDOW,) or values.dtype.kind != letter:
            raise _wrong(f"no coordinate {name} of every window", "asleep (bool), n_passes (int)")


def _check_variables(group: str, found: xr.Dataset) -> None:
    expected = GROUPS[group]
    unknown = [str(name) for name in found.data_vars if name not in expected]
    if unknown:
        raise _wrong(f"/{group} with {', '.join(unknown)}", f"only {', '.join(expected)}")
    for name, wanted in expected.items():
        if name not in found.data_vars:
            if wanted.needed:
                raise _wrong(f"/{group} without {name}", ", ".join(expected))
            continue
        values = found[name]
        if values.dims != wanted.dims:
            raise _wrong(f"/{group}/{name} {values.dims}", str(wanted.dims))
        narrow = values.dtype.kind == "f" and values.dtype.itemsize < 4
        if values.dtype.kind not in wanted.kinds or narrow:
            kinds = {"b": "bool", "i": "an integer", "f": "float32 or float64"}
            raise _wrong(f"/{group}/{name} of dtype {values.dtype}", kinds[wanted.kinds])


def _check_sizes(tree: xr.DataTree, groups: list[str]) -> None:
    """Compare the axes that groups share; xarray itself compares examples and windows."""
    most = int(tree.coords["n_passes"].max())
    if int(tree.coords["n_passes"].min()) < 1:
        raise _wrong("n_passes below 1", "at least one pass over each window")
    for group, first in FIRST_PASS.items():
        if group in groups:
            if tree[group].sizes[dims.SLEEP_PASS] != most + 1 - first:
                has = tree[group].coords.get(dims.SLEEP_PASS, xr.DataArray()).values.tolist()
                raise _wrong(f"/{group} with sleep_pass = {has!s:.60}", f"{first} to {most}")
            _check_coordinate(tree.children[group], dims.SLEEP_PASS, np.arange(first, most + 1))
    layers = tree["states"].coords.get(dims.LAYER)
    if layers is None:
        raise _wrong("/states without the coordinate layer", "the index of each layer in the stack")
    if "writes" in groups:
        _check_coordinate(tree.children["writes"], dims.LAYER, layers.values)
        heads = tree["states"].coords.get(dims.GDN_HEAD)
        if heads is not None or dims.GDN_HEAD in tree["writes"].coords:
            here = np.arange(tree["states"].sizes[dims.GDN_HEAD]) if heads is None else heads.values
            _check_coordinate(tree.children["writes"], dims.GDN_HEAD, here)
        corrects = tree["writes"].coords.get("corrects")
        if corrects is None or corrects.dims != (dims.LAYER,) or corrects.dtype.kind != "b":
            raise _wrong("/writes without corrects (layer)", "a bool: is it a delta rule")
    if "hidden" in groups and dims.LAYER not in tree["hidden"].coords:
        raise _wrong("/hidden without the coordinate layer", "the index of each block in the stack")
    queries = tree["inputs"].sizes.get(dims.QUERY, 0)
    known = {dims.TOKEN: max(tree.attrs["window_size"], _isolated(tree) * queries)}
    for group in groups:
        shared = {d: n for d, n in tree[group].sizes.items() if d != dims.SLEEP_PASS}
        if group == "hidden":
            shared.pop(dims.LAYER)  # every block, not the fast-weight layers alone
        for name, size in shared.items():
            if known.setdefault(str(name), size) != size:
                raise _wrong(f"/{group} with {name} = {size}", f"{known[str(name)]}, as elsewhere")


def _check_numbers(tree: xr.DataTree) -> None:
    """Compare the numbers of the root with what was recorded."""
    asleep, passes = tree.coords["asleep"].values, tree.coords["n_passes"].values
    n_sleep, size = tree.attrs["n_sleep"], tree.attrs["window_size"]
    slept = passes[asleep].tolist() or [n_sleep]
    least = 1 if asleep.any() else 0
    if set(slept) != {n_sleep} or not least <= n_sleep <= MOST_PASSES:
        raise _wrong(f"n_sleep = {n_sleep}", f"the passes over windows slept on, {slept[0]}")
    windows, length = tree.sizes[dims.WINDOW], tree.attrs["sequence_length"]
    if OF_WINDOW in tree.coords:
        entries = tree.coords[OF_WINDOW].values
        steps = np.diff(entries, prepend=0)
        if entries.dtype.kind != "i" or not np.isin(steps, (0, 1)).all() or entries[0]:
            raise _wrong(f"{OF_WINDOW} = {entries.tolist()!s:.60}", "windows in order, from 0")
        windows = int(entries[-1]) + 1
    inputs, readout = tree["inputs"].to_dataset(), tree["readout"].to_dataset()
    queries = inputs.sizes.get(dims.QUERY, 0)
    alone = _isolated(tree) * queries
    slept = windows - bool(alone)
    if not (slept - 1) * size < length - alone <= slept * size:
        given = f"sequence_length = {length}"
        given += f" and isolated = {_isolated(tree)} for {queries} queries" if alone else ""
        raise _wrong(given, f"what {windows} windows can hold, of {size} tokens but for queries")
    if tree.attrs["seed"] < -1:
        raise _wrong(f"seed = {tree.attrs['seed']}", "-1, or a seed")
    sleep = json.loads(tree.attrs["sleep_json"] or "null")
    expected = {"passes": n_sleep, "window": size}
    if isinstance(sleep, dict) and any(
        sleep.get(name) != value for name, value in expected.items()
    ):
        raise _wrong("another sleep in sleep_json", f"passes = {n_sleep}, window = {size}")
    vocabulary = json.loads(tree.attrs["vocabulary_json"] or "null")
    symbols = len(vocabulary) if isinstance(vocabulary, list) else None
    for name, least, end in (
        ("tokens", 0, symbols), ("answer_of", -1, queries), ("difficulty", -1, None),
    ):  # fmt: skip
        _check_range(f"/inputs/{name}", inputs[name].values, least, end)
    ranks = None if symbols is None else symbols + 1  # the likeliest symbol has rank 1
    _check_range("/readout/rank", readout["rank"].values, -1, ranks)


def _isolated(tree: xr.DataTree) -> int:
    """Return the tokens of each query that is read alone, in the last window; 0 if none is."""
    isolated = tree.attrs.get("isolated")  # only where there are such queries
    if isolated is not None and (type(isolated) is not int or isolated < 1):
        raise _wrong(f"isolated = {isolated!r}", "the tokens of each query that is read alone")
    return isolated or 0


def _check_range(name: str, values: np.ndarray, least: int, end: int | None) -> None:
    if values.size and (values.min() < least or (end is not None and values.max() >= end)):
        found = f"{values.min()} to {values.max()}"
        raise _wrong(f"{name} from {found}", f"{least} to {'any' if end is None else end - 1}")


def _check_coordinate(node: xr.DataTree, name: str, expected: np.ndarray) -> None:
    found = node.coords.get(name)
    if found is None or not np.array_equal(found.values, expected):
        has = "nothing" if found is None else f"{found.values.tolist()!s:.60}"
        raise _wrong(f"{node.path} with {name} = {has}", f"{expected.tolist()!s:.60}")


def _check_plain(node: xr.DataTree) -> None:
    """Refuse Python objects (they need a pickle) and attributes that are not plain."""
    for name, values in node.variables.items():
        if values.dtype.kind == "O":
            raise _wrong(f"{node.path}: {name} holds Python objects", "numbers, bools or text")
    for attributes in (node.attrs, *(v.attrs for v in node.variables.values())):
        for name, value in attributes.items():
            if not isinstance(value, str | int | float):
                raise _wrong(
                    f"{node.path}: attribute {name} = {value!r}", "attributes of str, int or float"
                )


def _check_recorded(tree: xr.DataTree) -> None:
    """Look for NaN up to each window's last pass: a pass that was not recorded."""
    for group in ("states", "writes"):
        for name, values in tree[group].data_vars.items() if group in tree.children else ():
            for window, last in enumerate(tree.coords["n_passes"].values):
                done = values.isel({dims.WINDOW: window}).sel({dims.SLEEP_PASS: slice(None, last)})
                if np.isnan(done.values).any():
                    raise _wrong(f"NaN in /{group}/{name} of window {window}", "every pass of it")


def _wrong(given: str, expected: Any) -> WorkbenchError:
    return WorkbenchError(f"a trace that has {given}", expected, f"record it again ({SCHEMA})")
