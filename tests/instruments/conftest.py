"""Traces built by hand: the slow recurrence runs them, so what they hold is known."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def hand_trace():
    """Return a maker of traces: ``hand_trace(passes, key=, value=, beta=, ...)``.

    Writes are ``(example, window, sleep_pass, layer, gdn_head, token, ...)``; the states follow
    from the token-by-token recurrence of `sleep_kernels.reference`.
    """
    import xarray as xr

    from workbench import dims

    over = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD)

    def make(passes, *, key, value, beta, log_decay, corrects, carried=None, dtype=np.float64):
        examples, windows, most, layers, heads, tokens, _ = key.shape
        given = (key, value, beta, log_decay)
        states = _scanned(passes, given, corrects, carried)
        real = np.arange(1, most + 1) <= np.array(passes)[:, None]  # (window, sleep_pass)

        def masked(array):
            shape = (1, *real.shape) + (1,) * (array.ndim - 3)
            return np.where(real.reshape(shape), array, np.nan).astype(dtype)

        index = {
            dims.EXAMPLE: np.arange(examples),
            dims.WINDOW: np.arange(windows),
            dims.LAYER: 1 + 2 * np.arange(layers),
            dims.GDN_HEAD: np.arange(heads),
        }
        last = {"write_key": [dims.KEY], "write_value": [dims.VALUE], "beta": [], "log_decay": []}
        writes = xr.Dataset(
            {
                name: ((*over, dims.TOKEN, *dim), masked(array))
                for (name, dim), array in zip(last.items(), given, strict=True)
            },
            index
            | {
                dims.SLEEP_PASS: np.arange(1, most + 1),
                "corrects": ((dims.LAYER,), np.array(corrects)),
            },
        )
        kept = xr.Dataset(
            {"fast_weight": ((*over, dims.KEY, dims.VALUE), states.astype(dtype))},
            index | {dims.SLEEP_PASS: np.arange(most + 1)},
        )
        shown = np.arange(examples * windows * tokens).reshape(examples, windows, tokens)
        inputs = xr.Dataset({"tokens": ((dims.EXAMPLE, dims.WINDOW, dims.TOKEN), shown)})
        root = xr.Dataset(
            coords={
                dims.EXAMPLE: np.arange(examples),
                dims.WINDOW: np.arange(windows),
                "n_passes": ((dims.WINDOW,), np.array(passes)),
                "asleep": ((dims.WINDOW,), np.ones(windows, dtype=bool)),
            },
            attrs={"schema": "sleep-trace/2", "n_sleep": most},
        )
        return xr.DataTree.from_dict(
            {"/": root, "/states": kept, "/writes": writes, "/inputs": inputs}
        )

    return make


def _scanned(passes, given, corrects, carried):
    """Return the states after every pass, by the token-by-token recurrence."""
    import torch

    from sleep_kernels.reference import scan

    examples, windows, most, layers, heads, _, keys = given[0].shape
    size = (keys, given[1].shape[-1])
    states = np.full((examples, windows, most + 1, layers, heads, *size), np.nan)
    for layer in range(layers):
        state = np.zeros((examples, heads, *size)) if carried is None else carried[:, layer]
        for w, count in enumerate(passes):
            states[:, w, 0, layer] = state
            for p in range(count):
                k, v, b, g = (
                    torch.as_tensor(np.nan_to_num(a[:, w, p, layer]).swapaxes(1, 2)).double()
                    for a in given
                )
                rule = bool(corrects[layer])
                state = scan(None, k, v, g, b, torch.as_tensor(state), 1.0, rule)[1].numpy()
                states[:, w, p + 1, layer] = state
    return states


@pytest.fixture(scope="session")
def small_depo():
    """Return a maker of (model, task, four examples): Depo of some nodes, key and value dim 4."""

    def make(nodes, *layers, **settings):
        from workbench.config import ModelConfig
        from workbench.model import HybridModel
        from workbench.tasks.base import batch_generator
        from workbench.tasks.depo import Depo, DepoConfig

        task = Depo(DepoConfig(nodes=nodes, names="single", **settings))
        sizes = {"width": 16, "gdn_heads": 2, "key_dim": 4, "value_dim": 4, "mlp_width": 16}
        config = ModelConfig(vocabulary=len(task.vocabulary), layers=layers, **sizes)
        model = HybridModel(config, seed=1).eval().requires_grad_(False)
        return model, task, task.sample(4, batch_generator(0, 0, "evaluation"))

    return make


@pytest.fixture(scope="session")
def probe_target():
    """Return a maker of questions for a probe: ``probe_target(labels, classes="ab", ...)``."""
    from workbench.tasks.targets import ProbeTarget

    def make(labels, classes="ab", **changed):
        labels = np.array(labels)
        given = {
            "name": "t",
            "level": 1,
            "labels": labels,
            "classes": tuple(classes),
            "items": tuple(f"item {i}" for i in range(labels.shape[1])),
            "kinds": None,
            "asked_by": np.full(labels.shape, -1),
            "symbols": np.arange(len(classes)),
            "meaning": "?",
        }
        return ProbeTarget(**given | changed)

    return make


@pytest.fixture(scope="session")
def random_trace(hand_trace):
    """Return a maker of traces of random writes with keys of unit norm: ``random_trace(seed)``.

    Two examples, windows of 3, 2 and 1 passes, 5 tokens, two heads; one layer of the delta rule
    and one of the outer product. The last token of window 1 is padding in example 1.
    """

    def make(seed=0, *, examples=2, passes=(3, 2, 1), tokens=5, dtype=np.float64, **changed):
        rng = np.random.default_rng(seed)
        shape = (examples, len(passes), max(passes), 2, 2, tokens)
        key = rng.normal(size=(*shape, 4))
        key /= np.linalg.norm(key, axis=-1, keepdims=True)
        beta, log_decay = rng.uniform(0.1, 0.95, shape), -rng.exponential(0.05, shape)
        if examples > 1 and len(passes) > 1:
            beta[1, 1, ..., -1] = log_decay[1, 1, ..., -1] = 0.0
        given = {
            "key": key,
            "value": rng.normal(size=(*shape, 3)),
            "beta": beta,
            "log_decay": log_decay,
            "corrects": [True, False],
        }
        if dtype == np.float32:  # what a trace in float32 holds
            given |= {
                name: given[name].astype(np.float32).astype(np.float64)
                for name in ("key", "value", "beta", "log_decay")
            }
        return hand_trace(passes, dtype=dtype, **given | changed)

    return make


@pytest.fixture(scope="session")
def one_number(hand_trace):
    """Return a maker of memories of one number, from the values that each pass writes.

    Strength 1/2, no decay, one key: each pass goes half of the way to its value.
    """

    def make(values):
        shape = (1, 1, len(values), 1, 1, 1)
        return hand_trace(
            [len(values)],
            key=np.ones((*shape, 1)),
            value=np.array(values, dtype=float).reshape(*shape, 1),
            beta=np.full(shape, 0.5),
            log_decay=np.zeros(shape),
            corrects=[True],
        )

    return make
