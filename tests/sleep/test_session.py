"""A stream read token by token equals the batch; it can be saved, restored and erased."""

import json

import numpy as np
import pytest
import torch

from workbench.config import RandomPasses, SleepConfig, UntilAnswersSettle, UntilMemorySettles
from workbench.errors import WorkbenchError
from workbench.model import Memory
from workbench.model.memory import FORMAT
from workbench.model.tensor_file import write_tensors
from workbench.sleep import Eviction, Session, SleepPass, Wake, read

LAYERS = ("attention", "gated_delta", "attention", "jet")
CONFIGS = {
    "hard": SleepConfig(window=4, passes=3),
    "sliding": SleepConfig(window=4, passes=2, eviction="sliding", conv_state="carry"),
    "middle": SleepConfig(window=4, passes=3, loop=(1, 3), eviction="sliding", kept_kv="first"),
    "ruled": SleepConfig(window=4, passes=UntilMemorySettles(tolerance=0.2, cap=5)),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


@pytest.fixture
def stream(tiny_model):
    """Return a session of three streams and its model."""
    model = tiny_model(*LAYERS, dtype="float32")
    return lambda config: Session(model, config, batch=3)


def feed(session, tokens, sizes=(1,)):
    """Push tokens in pieces of the sizes given, over and over; return the events."""
    events, start = [], 0
    while start < tokens.shape[1]:
        size = sizes[len(events) % len(sizes)]
        events += session.push(tokens[:, start : start + size])
        start += size
    return events


@every_config
@pytest.mark.parametrize("sizes", [(1,), (3, 5, 1), (12,)])
def test_equals_the_batch_to_the_bit(stream, make_batch, assert_same_memory, config, sizes):
    session, batch = stream(config), make_batch(3, 2)
    with torch.no_grad():
        expected = list(read(session.model, batch, config))
    events = feed(session, batch.tokens[:, :12], sizes)
    asleep = [e for e in expected if isinstance(e, SleepPass)]
    assert len([e for e in events if isinstance(e, SleepPass)]) == len(asleep)
    at_boundary = [e for e in expected if isinstance(e, Eviction)][2]
    assert_same_memory(session.memory, at_boundary.memory)
    for wake, start in zip((e for e in expected if isinstance(e, Wake)), (12, 16), strict=True):
        logits = session.answer(batch.tokens[:, start : start + 4], keep=True)
        assert torch.equal(logits, wake.logits)
    assert_same_memory(session.memory, expected[-1].memory)


@pytest.mark.parametrize("passes", [0, 2])
def test_a_text_is_predicted_and_slept_on_as_in_training(
    stream, make_batch, assert_same_memory, passes
):
    """The session knows no labels; every window is read awake all the same."""
    config = SleepConfig(window=4, passes=passes, order="predict_then_sleep", eviction="sliding")
    session, batch = stream(config), make_batch(0, 4)
    with torch.no_grad():
        expected = list(read(session.model, batch, config))
    events = feed(session, batch.tokens[:, :12], (3, 7))
    for found, one in zip(events, expected[: 3 * (passes + 2)], strict=True):
        assert type(found) is type(one)
        assert_same_memory(found.memory, one.memory)
        assert not isinstance(one, Wake) or torch.equal(found.logits, one.logits)
    look = session.answer(batch.tokens[:, 12:16])
    assert torch.equal(look, session.answer(batch.tokens[:, 12:16], keep=True))
    assert torch.equal(look, expected[-passes - 2].logits)
    assert_same_memory(session.memory, expected[-1].memory)


def test_sleeps_when_the_window_is_full_and_not_before(stream, make_batch):
    session, tokens = stream(CONFIGS["hard"]), make_batch(3, 0).tokens
    assert session.push(tokens[:, :3]) == []
    assert session.pending.shape == (3, 3) and not session.memory.fast_weights[1].any()
    events = session.push(tokens[:, 3:5])
    assert [type(e).__name__ for e in events] == ["SleepPass"] * 3 + ["Eviction"]
    assert session.pending.tolist() == tokens[:, 4:5].tolist()
    assert len(session.push(tokens[:, 5:12])) == 8


@every_config
def test_a_look_changes_nothing(stream, make_batch, assert_same_memory, config):
    session, tokens = stream(config), make_batch(3, 0).tokens
    session.push(tokens[:, :9])
    memory, pending = session.memory.clone(), session.pending.copy()
    first = session.answer(tokens[:, 9:11])
    assert torch.equal(first, session.answer(tokens[:, 9:11]))
    assert_same_memory(session.memory, memory)
    np.testing.assert_array_equal(session.pending, pending)


def test_the_answer_reads_the_pending_tokens_too(stream, make_batch):
    session, batch = stream(CONFIGS["hard"]), make_batch(1, 1)
    with torch.no_grad():
        *_, wake, _ = read(session.model, batch, session.sleep)
    session.push(batch.tokens[:, :6])
    logits = session.answer(batch.tokens[:, 6:8])
    assert logits.shape[1] == 2
    assert torch.equal(logits, wake.logits[:, 2:])


def test_a_kept_answer_ends_the_window(stream, make_batch):
    session, tokens = stream(CONFIGS["sliding"]), make_batch(3, 0).tokens
    session.push(tokens[:, :6])
    before = session.memory.fast_weights[1].clone()
    session.answer(tokens[:, 6:7], keep=True)
    assert session.pending.shape == (3, 0)
    assert not torch.equal(session.memory.fast_weights[1], before)
    assert session.memory.kv[0].keys.shape[2] == 3


@every_config
def test_saved_and_restored_it_goes_on_bit_for_bit(
    stream, make_batch, assert_same_memory, config, tmp_path
):
    session, tokens = stream(config), make_batch(5, 0).tokens
    session.push(tokens[:, :10])
    session.save(tmp_path / "session.safetensors")
    restored = Session.restore(session.model, tmp_path / "session.safetensors")
    assert restored.sleep == config
    assert restored.pending.dtype == np.int64
    np.testing.assert_array_equal(restored.pending, session.pending)
    assert_same_memory(restored.memory, session.memory)
    for one in (session, restored):
        one.push(tokens[:, 10:17])
    assert_same_memory(restored.memory, session.memory)
    assert torch.equal(restored.answer(tokens[:, 17:19]), session.answer(tokens[:, 17:19]))


def test_a_session_without_pending_tokens_is_restored(stream, make_batch, tmp_path):
    session = stream(CONFIGS["hard"])
    session.push(make_batch(2, 0).tokens)
    session.save(tmp_path / "s.safetensors")
    assert Session.restore(session.model, tmp_path / "s.safetensors").pending.shape == (3, 0)


def test_other_weights_are_refused(stream, tiny_model, tmp_path):
    session = stream(CONFIGS["hard"])
    session.save(tmp_path / "s.safetensors")
    for other in (tiny_model(*LAYERS, seed=1, dtype="float32"), tiny_model(dtype="float32")):
        with pytest.raises(WorkbenchError, match="saved with other weights"):
            Session.restore(other, tmp_path / "s.safetensors")


def test_a_memory_that_is_no_session_is_refused(stream, tmp_path):
    session = stream(CONFIGS["hard"])
    session.memory.save(tmp_path / "memory.safetensors")
    with pytest.raises(WorkbenchError, match="memory.safetensors"):
        Session.restore(session.model, tmp_path / "memory.safetensors")


WRONG_HEADERS = [
    ("batch", 2), ("batch", 0), ("batch", "3"), ("batch", None), ("batch", 3.0), ("batch", 10**9),
    ("pending", None), ("pending", [[]]), ("pending", [[1], [1, 2], [1]]), ("pending", "abc"),
    ("pending", [[1.5]] * 3), ("pending", [[True]] * 3), ("pending", [[10**30]] * 3),
    ("pending", [[-1]] * 3), ("pending", [[99]] * 3), ("pending", [[1] * 4] * 3),
    ("pending", [["1"]] * 3), ("pending", [[[1]]] * 3),
    ("sleep", None), ("sleep", []), ("sleep", {"window": 0}), ("sleep", {"naps": 1}),
    ("sleep", {"passes": {"kind": "random"}}), ("weights", None),
]  # fmt: skip


@pytest.fixture
def written(stream, make_batch, tmp_path):
    """A session's file, and what a file was written from."""
    session = stream(CONFIGS["sliding"])
    session.push(make_batch(2, 0).tokens[:, :6])
    session.save(tmp_path / "s.safetensors")
    return session, tmp_path / "s.safetensors", *Memory.load(tmp_path / "s.safetensors")


@pytest.mark.parametrize(("name", "value"), WRONG_HEADERS, ids=map(str, WRONG_HEADERS))
def test_a_header_with_another_value_is_refused_in_one_line(written, name, value):
    session, path, memory, extra = written
    for header in (extra | {name: value}, {k: v for k, v in extra.items() if k != name}):
        memory.save(path, header)
        with pytest.raises(WorkbenchError, match=r"s\.safetensors|session with passes|token ids"):
            Session.restore(session.model, path)


def test_a_memory_of_other_layers_or_shapes_is_refused_in_one_line(written):
    session, path, memory, extra = written
    tensors = memory.tensors()
    damaged = [
        {n: t for n, t in tensors.items() if n != gone} for gone in tensors if "tail" not in gone
    ]
    for name in tensors:
        owner, _, rest = name.partition(".")
        layer, _, part = rest.partition(".")
        for other in ("-1", "0", "1", "2", "3", "99"):
            if f"{owner}.{other}" not in {n.rpartition(".")[0] if part else n for n in tensors}:
                renamed = f"{owner}.{other}" + (f".{part}" if part else "")
                damaged.append({(renamed if n == name else n): t for n, t in tensors.items()})
        for change in (
            lambda t: t[:1], lambda t: t[None], lambda t: t[..., :1], lambda t: t.to(torch.int8),
            lambda t: t.to(torch.complex64), lambda t: torch.zeros(()), lambda t: t.flatten(),
        ):  # fmt: skip
            damaged.append(tensors | {name: change(tensors[name])})
    for wrong in damaged:
        write_tensors(path, wrong, {"format": FORMAT, "extra": json.dumps(extra)})
        with pytest.raises(WorkbenchError):
            Session.restore(session.model, path)
    assert len(damaged) > 100 and {n[:2] for n in tensors} == {"fa", "co", "kv"}


@every_config
def test_erased_it_holds_nothing_and_the_storage_is_zero(stream, make_batch, config):
    session, tokens = stream(config), make_batch(3, 0).tokens
    session.push(tokens[:, :10])
    pending = session.pending
    held = [t.untyped_storage() for t in session.memory.tensors().values()]
    assert any(any(storage) for storage in held) and pending.any()
    session.erase()
    assert not any(any(storage) for storage in held), "contents are left in old storage"
    assert not pending.any()
    assert session.pending.shape == (3, 0)
    assert not any(t.any() for t in session.memory.tensors().values())
    assert session.memory.kv == {} == session.memory.conv_tails


def test_erased_it_begins_anew(stream, make_batch, assert_same_memory):
    session, fresh = stream(CONFIGS["sliding"]), stream(CONFIGS["sliding"])
    session.push(make_batch(2, 0, seed=1).tokens)
    session.erase()
    tokens = make_batch(2, 0).tokens
    session.push(tokens)
    fresh.push(tokens)
    assert_same_memory(session.memory, fresh.memory)


def test_the_weights_have_no_gradients_and_do_not_change(stream, make_batch):
    session = stream(CONFIGS["hard"])
    before = {n: p.clone() for n, p in session.model.named_parameters()}
    session.push(make_batch(2, 0).tokens)
    assert not session.answer(make_batch(1, 0).tokens, keep=True).requires_grad
    for name, parameter in session.model.named_parameters():
        assert parameter.grad is None and torch.equal(parameter, before[name])


@pytest.mark.parametrize(
    "tokens",
    [np.zeros((2, 1), int), np.zeros(3, int), np.zeros((3, 1)), np.zeros((3, 1, 1), int)],
    ids=lambda t: f"{t.shape} {t.dtype}",
)
def test_tokens_of_another_shape_are_refused(stream, tokens):
    with pytest.raises(WorkbenchError, match=r"expected integers \[batch, token\] with batch = 3"):
        stream(CONFIGS["hard"]).push(tokens)


@pytest.mark.parametrize("length", [0, 4])
def test_a_question_must_fit_the_window(stream, make_batch, length):
    session, tokens = stream(CONFIGS["hard"]), make_batch(2, 0).tokens
    session.push(tokens[:, :1])
    with pytest.raises(WorkbenchError, match=f"a question of {length} tokens after 1 pending; exp"):
        session.answer(tokens[:, :length])


@pytest.mark.parametrize("passes", [RandomPasses(), UntilAnswersSettle()])
def test_a_rule_that_a_stream_cannot_follow_is_refused(tiny_model, passes):
    """Random N has no generator here; the questions are not known while it sleeps."""
    with pytest.raises(WorkbenchError, match="session"):
        Session(tiny_model(), SleepConfig(passes=passes))


def test_a_token_outside_the_vocabulary_is_refused(tiny_model):
    session = Session(tiny_model(), SleepConfig(window=4))
    with pytest.raises(WorkbenchError, match="ids from 0 to 6"):
        session.push(np.array([[7]]))


def test_a_session_keeps_no_view_of_the_tokens_it_slept_on(tiny_model):
    session = Session(tiny_model(), SleepConfig(window=4, passes=1))
    session.push(np.arange(6)[None] % 7)
    assert session.pending.base is None and session.pending.tolist() == [[4, 5]]
    session.answer(np.array([[1]]), keep=True)
    assert session.pending.base is None and session.pending.shape == (1, 0)
