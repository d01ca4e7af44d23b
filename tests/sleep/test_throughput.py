"""Throughput: what is read in each way, and what the rows say, by a clock that counts."""

import pytest
from tiny import tiny_run

from workbench.errors import WorkbenchError
from workbench.model import HybridModel
from workbench.sleep import throughput
from workbench.sleep.throughput import QUESTION, Cell, measure_throughput


@pytest.fixture
def calls(monkeypatch):
    """Passes over the blocks: how many tokens each read; the clock ticks once a token."""
    model, read = HybridModel(tiny_run("model.vocabulary=7").model), []
    blocks, ticks = model.blocks, [0.0]

    def counted(hidden, *arguments, **options):
        read.append(hidden.shape[1])
        ticks[0] += hidden.shape[1]
        return blocks(hidden, *arguments, **options)

    monkeypatch.setattr(model, "blocks", counted)
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: ticks[0])
    return model, read


def test_each_way_reads_what_it_says(calls):
    model, read = calls
    cells = [Cell(8, 3, False), Cell(None, 3, False), Cell(16, 1, True), Cell(None, 1, True)]
    rows = measure_throughput(model, cells, 32, repeats=1)
    asked = [QUESTION]
    once = [8] * 4 * 3 + asked + [32] * 3 + asked + [16] * 2 + asked + [32] + asked
    assert read == once * 2  # to warm up, and to measure
    tokens = [32 / (96 + QUESTION)] * 2 + [32 / (32 + QUESTION)] * 2
    assert [row["tokens_per_second"] for row in rows] == [
        pytest.approx([one] * 3, rel=1e-4) for one in tokens
    ]
    assert [row["ratio"] for row in rows] == [[1.0] * 3, None, [1.0] * 3, None]
    assert [row["wake_ms"] for row in rows] == [[1e3 * QUESTION] * 3] * 2 + [None] * 2
    assert all(row["peak_mb"] is None or 0 <= row["peak_mb"] < 500 for row in rows)


def test_the_model_stays_as_it_was(calls):
    model, _ = calls
    frozen = next(model.parameters()).requires_grad_(False)
    before = [p.detach().clone() for p in model.parameters()]
    measure_throughput(model, [Cell(16, 2, True)], 32, repeats=1)
    assert not frozen.requires_grad and model.head.weight.requires_grad
    assert all(p.grad is None for p in model.parameters())
    assert all((a == b).all() for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("counter", "joules"), [((5.0, 7.0), 2.0), ((7.0, 5.0), None), ((5.0, None), None)]
)
def test_a_counter_that_starts_again_or_fails_gives_no_joules(calls, monkeypatch, counter, joules):
    told = [*counter, *counter][::-1]
    monkeypatch.setattr(throughput, "_energy", told.pop)
    (row,) = measure_throughput(calls[0], [Cell(16, 1, False)], 32, repeats=1)
    assert row["joules"] == (None if joules is None else [joules] * 3)


@pytest.mark.parametrize("window", [5, 4, 64])
def test_windows_must_divide_the_text(window, calls):
    with pytest.raises(WorkbenchError, match=f"windows of {window} tokens for a text of 32"):
        measure_throughput(calls[0], [Cell(window, 1, False)], 32)


@pytest.mark.skipif(not throughput.CLEAR.exists(), reason="only Linux resets the peak")
def test_peak_memory_sees_what_was_freed_again(monkeypatch):
    import torch

    before = throughput._reset_peak(torch.device("cpu"))
    block = bytearray(b"x") * 200_000_000
    del block
    assert throughput._peak(torch.device("cpu")) - before > 190_000_000
    assert throughput._reset_peak(torch.device("cpu")) - before < 50_000_000
