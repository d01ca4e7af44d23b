"""The store: the same examples as the stepper's, bundled traces where they fit, and one's own."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.theatre.problem import EXAMPLES, drawn, drawn_batch
from workbench.trace import load_trace, origin_of, record, save_trace
from workbench.views.cursor import traces as trace_module
from workbench.views.cursor.cursor import BoundaryIndex, TraceCursor
from workbench.views.cursor.reading import ReadingKey, Readings
from workbench.views.cursor.traces import TraceKey, TraceStore, key_of
from workbench.views.memory.readings import crosstalk_boundary
from workbench.views.site.services import Services
from workbench.views.stepper.walk import Walk


@pytest.fixture
def store(shared):
    return TraceStore(shared)


def test_an_example_is_that_of_the_stepper(store, checkpoints):
    traced = store.get(TraceKey("ring", seed=3, passes=2))
    assert traced.source == "recorded" and traced.examples == EXAMPLES
    checkpoint = checkpoints["ring"]
    problem = drawn(checkpoint.task, 3, 5)
    assert traced.problem(5).as_typed == problem.as_typed
    walk = Walk(checkpoint.model, problem.batch, checkpoint.sleep.with_passes(2), checkpoint.task)
    walk.finish()
    assert traced.extent[:3] == walk.extent[:3]
    states = traced.one(5)["states"]["fast_weight"].values[0, 0]
    np.testing.assert_allclose(states, walk.states(0).values, rtol=1e-4, atol=1e-6)
    assert [s for w in traced.symbols(5)[:1] for s in w] == list(problem.picture.symbols[:16])


def test_what_was_typed_is_one_example(store, checkpoints):
    key = TraceKey("ring", passes=2, text="0>1 1>2 2>0", queries="1:0, 2:1")
    traced = store.get(key)
    assert traced.examples == 1 and traced.extent.examples == EXAMPLES
    assert traced.position(7) == 0 and traced.problem(7).as_typed[1] == "1:0, 2:1"
    assert traced.extent.awake == (False, True), "no window of padding follows the questions"
    assert traced.symbols(0)[0][0] == "·"
    cursor = TraceCursor(checkpoint="ring", seed=4, passes=2, text="0>1", queries="1:0")
    assert key_of(cursor) == TraceKey("ring", 0, 2, "0>1", "1:0"), "the seed does not count"


def test_a_trace_is_recorded_once(store):
    first = store.get(TraceKey("ring", passes=2))
    assert store.get(TraceKey("ring", passes=2)) is first
    assert store.get(TraceKey("ring", passes=3)) is not first
    for passes in range(1, trace_module.TRACES + 1):
        store.get(TraceKey("rule", passes=passes))
    assert store.get(TraceKey("ring", passes=2)) is not first, "only the newest are kept"


def test_what_was_made_of_a_model_that_was_replaced_is_not_shown(store, checkpoints, monkeypatch):
    """By the name of the old one there is another now: its traces and readings are made again."""
    readings = Readings(store.services)
    old = store.get(TraceKey("ring", passes=2)), readings.get(ReadingKey("ring", 0, 2))
    known = {"name": "ring", "hashes": {"model.safetensors": "1" * 64}}
    monkeypatch.setitem(checkpoints, "ring", replace(checkpoints["ring"], provenance=known))
    new = store.get(TraceKey("ring", passes=2)), readings.get(ReadingKey("ring", 0, 2))
    for before, after in zip(old, new, strict=True):
        assert before is not after and after.checkpoint is checkpoints["ring"]
    assert store.get(TraceKey("ring", passes=2)) is new[0]


def test_where_the_cursor_stands_in_terms_of_writes(store):
    traced = store.get(TraceKey("ring-two", passes=2))
    assert traced.extent.layers == (1, 2) and traced.extent.awake[:2] == (False, False)
    cursor = TraceCursor()
    cursor.fit(traced.extent)
    for at, done in (((0, 0), (0, 1)), ((1, 0), (0, 2)), ((1, 1), (1, 1))):
        cursor.go(BoundaryIndex(*at))
        assert crosstalk_boundary(cursor) == done
    last = len(traced.extent.passes) - 1
    assert traced.extent.slept(last) == 1 and traced.extent.slept(0) == 0


@pytest.fixture
def traces(checkpoints, shared, tmp_path, monkeypatch):
    """A store whose folder of traces holds some of ring, and a trap or two."""
    checkpoint = checkpoints["ring"]
    sleep = checkpoint.sleep.with_passes(2)
    tree = record(
        checkpoint.model,
        drawn_batch(checkpoint.task, 0).examples(slice(0, 3)),
        sleep,
        task=checkpoint.task,
        origin=origin_of(checkpoint, seed=0),
    )
    folder = tmp_path / "traces"
    folder.mkdir()
    save_trace(tree, folder / "mine.zarr.zip")
    (folder / "broken.zarr.zip").write_bytes(b"no zip")
    (folder / "notes.txt").write_text("no trace")
    (tmp_path / "secret.zarr.zip").write_bytes((folder / "mine.zarr.zip").read_bytes())
    (folder / "link.zarr.zip").symlink_to(tmp_path / "secret.zarr.zip")
    shared.traces = folder
    return TraceStore(shared)


def test_own_traces_are_listed_and_read(traces):
    assert [n for n in traces.names() if n.startswith("traces/")] == [
        "traces/broken", "traces/mine",
    ]  # fmt: skip
    traced = traces.get(TraceKey("traces/mine"))
    assert traced.source == "own" and traced.checkpoint is None
    assert traced.extent.examples == 3 and traced.sleep.passes == 2
    assert traced.task.name == "depo" and traced.problem(2) is not None
    assert traces.get(TraceKey("traces/mine")) is traced


@pytest.mark.parametrize(
    "name", ["traces/../secret", "traces/link", "traces/nothing", "traces//etc/passwd"]
)
def test_names_never_lead_out_of_the_folder(traces, name):
    with pytest.raises(WorkbenchError, match="no trace .*one of traces/broken, traces/mine;"):
        traces.get(TraceKey(name))


def test_an_empty_folder_of_traces_says_so(store):
    with pytest.raises(WorkbenchError, match="expected a file in traces/, which holds none;"):
        store.get(TraceKey("traces/mine"))


def test_a_broken_or_a_huge_trace_says_so(traces, monkeypatch):
    with pytest.raises(WorkbenchError, match="cannot be read"):
        traces.get(TraceKey("traces/broken"))
    monkeypatch.setattr(trace_module, "LARGEST", 10)
    with pytest.raises(WorkbenchError, match="record fewer examples"):
        traces.get(TraceKey("traces/mine"))


def test_a_server_without_a_folder_has_no_traces(store):
    assert store.names() == store.services.names()


@pytest.mark.slow
def test_a_bundled_trace_serves_if_it_is_the_very_same_sleep(
    store, checkpoints, tmp_path, monkeypatch
):
    checkpoint = checkpoints["ring"]
    sleep, batch = checkpoint.sleep.with_passes(2), drawn_batch(checkpoint.task, 0)
    path = tmp_path / "traces" / "ring-n2.zarr.zip"
    path.parent.mkdir()
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(
        "workbench.views.cursor.traces.bundled_traces",
        lambda: {"ring-n2": path} if path.exists() else {},
    )
    monkeypatch.setattr("workbench.trace.load_trace", lambda name, checkpoint: load_trace(path))

    def bundle(batch, seed=0):
        path.unlink(missing_ok=True)
        told = origin_of(checkpoint, seed=seed)
        save_trace(record(checkpoint.model, batch, sleep, task=checkpoint.task, origin=told), path)

    bundle(batch)
    assert TraceStore(store.services).get(TraceKey("ring", passes=2)).source == "bundled"
    assert TraceStore(store.services).get(TraceKey("ring", passes=3)).source == "recorded"
    assert TraceStore(store.services).get(TraceKey("ring", 1, 2)).source == "recorded"
    bundle(drawn_batch(checkpoint.task, 1))  # says seed 0, and is not
    assert TraceStore(store.services).get(TraceKey("ring", passes=2)).source == "recorded"


def test_bundled_traces_hold_the_examples_of_the_stepper():
    """Else every page would record again what is bundled."""
    traced = TraceStore(Services()).get(TraceKey("depo-n8-any", passes=4))
    assert traced.source == "bundled"
    assert traced.problem(7).as_typed == drawn(traced.task, 0, 7).as_typed
