"""A bundled model read a second time, in plain NumPy and float64, and compared logit by logit.

Written from docs/method.md. Of the package it uses the tokens that a task draws, and what it is
compared with: weights are read by safetensors, and every sum is spelt out here.
"""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import workbench
from workbench.paths import data_folder

HEADS, WINDOW, EPS = 4, 16, 1e-6


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def rms_norm(x, weight):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS) * weight


def by_head(x):
    """Return [token, channel] as [head, token, channel of the head]."""
    return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)


def rope(x):
    """Rotate channel i and i + half of a head by position times 10000^(-2 i / dim)."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * 10_000.0 ** (-np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attention(x, w):
    q, k, v = (by_head(x @ w[f"mixer.{name}.weight"].T) for name in ("query", "key", "value"))
    scores = rope(q) @ rope(k).transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    scores[:, np.triu(np.ones((len(x), len(x)), dtype=bool), 1)] = -np.inf  # causal
    odds = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = odds / odds.sum(-1, keepdims=True) @ v
    return mixed.transpose(1, 0, 2).reshape(len(x), -1) @ w["mixer.out.weight"].T


def gated_delta(x, w, s):
    """Return the layer's output and S [head, key, value] after its tokens."""
    qkv = np.concatenate([x @ w[f"mixer.{n}.weight"].T for n in ("query", "key", "value")], axis=1)
    taps = w["mixer.conv"].shape[1]  # the newest token has the last tap; before the window, zeros
    padded = np.concatenate([np.zeros((taps - 1, qkv.shape[1])), qkv])
    rows = [(padded[t : t + taps] * w["mixer.conv"].T).sum(0) for t in range(len(x))]
    q, k, v = (by_head(part) for part in np.split(silu(np.array(rows)), 3, axis=1))
    q, k = (y / np.sqrt((y**2).sum(-1, keepdims=True) + EPS) for y in (q, k))
    step = np.log1p(np.exp(x @ w["mixer.decay.weight"].T + w["mixer.decay_bias"]))  # softplus
    a = np.exp(-np.exp(w["mixer.log_rate"]) * step)  # [token, head]
    b = sigmoid(x @ w["mixer.write.weight"].T)
    s, read = s.copy(), np.zeros((len(x), HEADS, v.shape[-1]))
    for t in range(len(x)):
        for head in range(HEADS):
            kept = a[t, head] * s[head]
            error = v[head, t] - kept.T @ k[head, t]
            s[head] = kept + b[t, head] * np.outer(k[head, t], error)
            read[t, head] = s[head].T @ q[head, t] / np.sqrt(q.shape[-1])
    gate = (x @ w["mixer.gate.weight"].T).reshape(read.shape)
    mixed = rms_norm(read, w["mixer.norm.weight"]) * silu(gate)
    return mixed.reshape(len(x), -1) @ w["mixer.out.weight"].T, s


def one_pass(h, weights, s):
    """Run both blocks over the features [token, channel] of a window."""
    for block in range(2):
        prefix = f"stack.{block}."
        w = {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
        x = rms_norm(h, w["mixer_norm.weight"])
        if block == 0:
            mixed = attention(x, w)
        else:
            mixed, s = gated_delta(x, w, s)
        h = h + mixed
        x = rms_norm(h, w["mlp_norm.weight"])
        up = silu(x @ w["mlp.gate.weight"].T) * (x @ w["mlp.up.weight"].T)
        h = h + up @ w["mlp.down.weight"].T
    return h, s


def read(weights, tokens, labelled, passes):
    """Run Algorithm 1 with hard eviction over one sequence; return logits of its wake windows."""
    s = np.zeros((HEADS, 16, 16))
    logits = []
    for begin in range(0, len(tokens), WINDOW):
        h = weights["embedding.weight"][tokens[begin : begin + WINDOW]]
        if labelled[begin : begin + WINDOW].any():
            h, s = one_pass(h, weights, s)
            logits.append(rms_norm(h, weights["final_norm.weight"]) @ weights["head.weight"].T)
        else:
            for _ in range(passes):
                h, s = one_pass(h, weights, s)
    return np.array(logits)


@pytest.mark.parametrize("name", ["depo-n8-any", "depo-n8-n4"])
def test_every_logit_is_that_of_an_independent_reading(name):
    checkpoint = workbench.load(name)
    path = data_folder() / "checkpoints" / name / "model.safetensors"
    weights = {n: w.astype(np.float64) for n, w in load_file(path).items()}
    batch = checkpoint.task.sample(4, np.random.default_rng(7))
    for passes in (1, 2, 4):
        sleep = checkpoint.sleep.with_passes(passes)
        with torch.no_grad():
            events = list(workbench.read(checkpoint.model, batch, sleep))
        ours = np.stack([e.logits.numpy() for e in events if hasattr(e, "logits")], axis=1)
        for tokens, labelled, found in zip(batch.tokens, batch.loss_mask, ours, strict=True):
            expected = read(weights, tokens, labelled, passes)
            assert expected.shape == (2, WINDOW, 14)
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)
            assert np.abs(expected).max() > 1
