"""Every check passes its solution and says something fitting about each usual mistake."""

import numpy as np
import pytest
import torch

from sleep_course.exercises import associative as exercises
from workbench.model import Memory

# --- exercise 1 ----------------------------------------------------------------------------------


def write(S, k, v):
    return S + np.outer(k, v)


def read(S, q):
    return S.T @ q


def write_in_place(S, k, v):
    S += np.outer(k, v)
    return S


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((lambda S, k, v: ..., read), "gives nothing back yet"),
        ((lambda S, k, v: S, read), "nothing was written"),
        ((lambda S, k, v: np.outer(k, v), read), "drops what S held before"),
        ((lambda S, k, v: S - np.outer(k, v), read), "takes the product away"),
        ((lambda S, k, v: S + 2 * np.outer(k, v), read), "not the outer product"),
        ((lambda S, k, v: S + np.outer(v, k), read), "one row for each of the 4 entries"),
        ((lambda S, k, v: k * v, read), "ValueError"),
        ((write_in_place, read), "changes what it was given"),
        ((write, lambda S, q: ...), "gives nothing back yet"),
        ((write, lambda S, q: S @ q), "S^T q"),
        ((write, lambda S, q: S), "shape (4, 3); expected (3,)"),
        ((write, lambda S, q: 2 * S.T @ q), "not S^T q"),
    ],
)
def test_write_and_read(answers, says):
    assert exercises.check_write_and_read(write, read).right
    verdict = exercises.check_write_and_read(*answers)
    assert not verdict.right
    assert says in verdict.message


def test_torch_is_as_good_as_numpy():
    def write(S, k, v):
        return torch.as_tensor(S) + torch.outer(torch.as_tensor(k), torch.as_tensor(v))

    assert exercises.check_write_and_read(write, read).right


# --- exercise 2 ----------------------------------------------------------------------------------


def delta_write(S, k, v, beta):
    return S + beta * np.outer(k, v - S.T @ k)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda S, k, v, beta: ..., "gives nothing back yet"),
        (lambda S, k, v, beta: S, "nothing was written"),
        (lambda S, k, v, beta: S + beta * np.outer(k, v), "the plain outer product"),
        (lambda S, k, v, beta: S + np.outer(k, v - S.T @ k), "beta is not used"),
        (lambda S, k, v, beta: S - beta * np.outer(k, v - S.T @ k), "wrong way round"),
        (lambda S, k, v, beta: S + beta * np.outer(k, v + S.T @ k), "wrong way round"),
        (lambda S, k, v, beta: beta * np.outer(k, v - S.T @ k), "what S held before is gone"),
        (lambda S, k, v, beta: S + beta * np.outer(k, v - S @ k), "ValueError"),
        (lambda S, k, v, beta: S + beta**2 * np.outer(k, v - S.T @ k), "mean of the old answer"),
        (lambda S, k, v, beta: S + 0.5 * np.outer(k, v - S.T @ k), "beta = 0"),
    ],
)
def test_delta_write(answer, says):
    assert exercises.check_delta_write(delta_write).right
    verdict = exercises.check_delta_write(answer)
    assert not verdict.right
    assert says in verdict.message


# --- exercise 3 ----------------------------------------------------------------------------------


class Forgetful:
    """An answer that is right twice, and then no longer."""

    def __init__(self, error=False):
        self.error, self.calls = error, 0

    def __deepcopy__(self, memo):
        return self

    def __call__(self, bit):
        self.calls += 1
        if self.calls > 2 and self.error:
            raise ValueError("no more")
        return 2.0 * bit if self.calls <= 2 else None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda bit: ..., "gives nothing back yet"),
        (lambda bit: 3.0 * bit, "must lie in 0..2"),
        (lambda bit: 2.0, "a 0 must leave the memory alone"),
        (lambda bit: 1.0 * bit, "wipes the memory out"),
        (lambda bit: 0.5 * bit, "the sign never changes"),
        (lambda bit: 0.0, "the sign never changes"),
        (lambda bit: 1.5 * bit, "after 100 of them 7.9e-31 of it is left"),
        (lambda bit: 1.99 * bit, "after 100 of them 0.37 of it is left"),
        (Forgetful(), "gives nothing back yet"),
        (Forgetful(error=True), "ValueError: no more"),
        (lambda bit: [bit], "Give back one number"),
    ],
)
def test_parity(answer, says):
    assert exercises.check_parity(lambda bit: 2 * bit).right
    verdict = exercises.check_parity(answer)
    assert not verdict.right
    assert says in verdict.message


def test_parity_memory_by_hand():
    bits = np.array([[1, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(exercises.parity_memory(bits, lambda bit: 2.0 * bit), [1, -1])
    np.testing.assert_allclose(exercises.parity_memory(bits, lambda bit: 0.5 * bit), [0.25, 0.5])


# --- exercise 4 ----------------------------------------------------------------------------------


def gated_write(S, k, v, beta, a):
    return delta_write(a * S, k, v, beta)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda S, k, v, beta, a: ..., "gives nothing back yet"),
        (lambda S, k, v, beta, a: delta_write(S, k, v, beta), "a is not used"),
        (lambda S, k, v, beta, a: a * delta_write(S, k, v, beta), "let S decay before"),
        (
            lambda S, k, v, beta, a: a * S + beta * np.outer(k, v - S.T @ k),
            "against S as it was before",
        ),
        (lambda S, k, v, beta, a: a * S + beta * np.outer(k, v), "Mamba-2"),
        (lambda S, k, v, beta, a: a * S, "not the gated delta rule yet"),
    ],
)
def test_gated_write(answer, says):
    assert exercises.check_gated_write(
        lambda S, k, v, beta, a: delta_write(a * S, k, v, beta)
    ).right
    verdict = exercises.check_gated_write(answer)
    assert not verdict.right
    assert says in verdict.message


# --- exercise 5 ----------------------------------------------------------------------------------


def put(memory, layer, S):
    return memory.replace(fast_weights={**memory.fast_weights, layer: S})


def without_head(memory, layer, head):
    S = memory.fast_weights[layer].clone()
    S[:, head] = 0
    return put(memory, layer, S)


def in_place(memory, layer, head):
    memory.fast_weights[layer][:, head] = 0
    return memory


def left_out(memory, layer, head):
    return put(memory, layer, memory.fast_weights[layer][:, :head])


def only_this_layer(memory, layer, head):
    return memory.replace(
        fast_weights={layer: without_head(memory, layer, head).fast_weights[layer]}
    )


def as_numpy(memory, layer, head):
    other = memory.clone()
    other.fast_weights[layer] = other.fast_weights[layer].numpy()
    return other


def along(axis, *, also=0.0):
    def answer(memory, layer, head):
        S = memory.fast_weights[layer] + also
        index = [slice(None)] * 4
        index[axis] = min(head, S.shape[axis] - 1)
        S = S.clone()
        S[tuple(index)] = 0
        return put(memory, layer, S)

    return answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda memory, layer, head: ..., "gives nothing back yet"),
        (in_place, "changes what it was given"),
        (lambda memory, layer, head: memory.clone(), "no number changed"),
        (lambda memory, layer, head: memory.erase(), "every head is zero"),
        (lambda memory, layer, head: memory.fast_weights[layer], "a Memory was expected"),
        (lambda memory, layer, head: Memory(), "has no S by layer"),
        (lambda memory, layer, head: without_head(memory, layer, 2), "use `head`"),
        (lambda memory, layer, head: without_head(memory, 1, head), "no number changed"),
        (lambda memory, layer, head: without_head(memory, layer, head + 1), "IndexError"),
        (only_this_layer, "keep the other layers"),
        (
            lambda memory, layer, head: Memory(without_head(memory, layer, head).fast_weights),
            "the rest of the memory is gone",
        ),
        (
            lambda memory, layer, head: put(memory, layer, memory.fast_weights[layer][:, :head]),
            "shape",
        ),
        (
            lambda memory, layer, head: without_head(memory, layer, 0),
            "head 2 was asked for, and head 0 is zero",
        ),
        (along(0), "wrong axis"),
        (along(2), "no head is zero throughout"),
        (along(1, also=1.0), "the other heads changed too"),
        (lambda memory, layer, head: memory.fast_weights[head], "KeyError"),
        (as_numpy, "should stay a torch tensor, not ndarray"),
        (lambda memory, layer, head: Memory(fast_weights=7), "no S by layer, only int"),
    ],
)
def test_without_head(answer, says):
    assert exercises.check_without_head(without_head).right
    verdict = exercises.check_without_head(answer)
    assert not verdict.right
    assert says in verdict.message
