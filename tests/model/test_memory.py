"""The memory: copies, erasing, and files that are whole or not there."""

import hashlib
import json
import os

import pytest
import safetensors
import safetensors.torch
import torch

from workbench.errors import WorkbenchError
from workbench.model import KVCache, Memory
from workbench.model.memory import FORMAT
from workbench.model.tensor_file import write_tensors

os.umask(UMASK := os.umask(0))  # there is no other way to ask for it


@pytest.fixture
def memory(tiny_model):
    """What two attention and two fast-weight layers leave after a padded window."""
    model = tiny_model("attention", "gated_delta", "attention", "jet", dtype="float32")
    tokens = torch.randint(7, (2, 5), generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[False, True, True, True, True], [True] * 5])
    return model.blocks(model.embed(tokens), model.empty_memory(2), valid=valid)[1]


def assert_identical(found, expected):
    assert list(found.tensors()) == list(expected.tensors())
    for name, tensor in expected.tensors().items():
        assert found.tensors()[name].dtype == tensor.dtype
        assert torch.equal(found.tensors()[name], tensor), name


def test_the_parts_and_their_names(memory):
    assert list(memory.tensors()) == [
        "fast_weights.1", "fast_weights.3", "conv_tails.1", "conv_tails.3",
        "kv.0.keys", "kv.0.values", "kv.0.valid", "kv.2.keys", "kv.2.values", "kv.2.valid",
    ]  # fmt: skip
    assert_identical(Memory.from_tensors(memory.tensors()), memory)
    assert memory.nbytes == sum(t.nbytes for t in memory.tensors().values()) > 0
    assert Memory().nbytes == 0


def test_a_clone_shares_no_storage(memory):
    copy = memory.clone()
    assert_identical(copy, memory)
    pointers = [{t.data_ptr() for t in m.tensors().values()} for m in (copy, memory)]
    assert not pointers[0] & pointers[1]


def test_detach_drops_the_gradient_history(memory):
    assert memory.fast_weights[1].requires_grad
    assert not any(t.requires_grad for t in memory.detach().tensors().values())
    assert_identical(memory.detach(), memory)


def test_to_moves_every_tensor(memory):
    assert_identical(memory.to("cpu"), memory)
    assert {t.device.type for t in memory.to("meta").tensors().values()} == {"meta"}


def test_examples_are_rows_of_the_batch(memory):
    second = memory.examples(slice(1, 2))
    for name, tensor in memory.tensors().items():
        assert torch.equal(second.tensors()[name], tensor[1:2])


def test_erased_it_holds_nothing(memory):
    erased = memory.erase()
    assert set(erased.tensors()) == {"fast_weights.1", "fast_weights.3"}
    assert not any(t.any() for t in erased.tensors().values())
    assert memory.fast_weights[1].any(), "erase changed the memory it was called on"


def test_overwriting_reaches_the_storage(memory):
    tensors = memory.detach().clone().tensors()
    aliases = [t.view_as(t) for t in tensors.values()]
    Memory.from_tensors(tensors).overwrite()
    assert not any(alias.any() for alias in aliases)


@pytest.mark.parametrize("keep", [0, 2, 5, 9])
def test_newest_tokens_of_a_cache(memory, keep):
    cache = memory.kv[0].newest(keep)
    kept = min(keep, 5)
    assert torch.equal(cache.keys, memory.kv[0].keys[:, :, 5 - kept :])
    assert torch.equal(cache.values, memory.kv[0].values[:, :, 5 - kept :])
    assert torch.equal(cache.valid, memory.kv[0].valid[:, 5 - kept :])


def test_a_file_holds_every_bit(memory, tmp_path):
    with torch.no_grad():
        memory.fast_weights[1][0, 0, 0] = torch.tensor([float("nan"), -0.0, 1e-45])
    memory.save(tmp_path / "s.safetensors", {"step": 3, "name": "ü"})
    found, extra = Memory.load(tmp_path / "s.safetensors")
    assert extra == {"step": 3, "name": "ü"}
    for name, tensor in memory.tensors().items():
        assert found.tensors()[name].dtype == tensor.dtype
        as_bytes = [
            t.detach().contiguous().view(torch.uint8) for t in (found.tensors()[name], tensor)
        ]
        assert torch.equal(*as_bytes), name
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


def test_a_memory_of_views_can_be_saved(tmp_path):
    """Two layers may hold one mask, and a cache may be a view of a longer one."""
    valid, keys = torch.ones(1, 4, dtype=torch.bool), torch.arange(8.0).view(1, 1, 4, 2)
    cache = KVCache(keys, keys, valid)
    memory = Memory({1: keys.mT}, {}, {0: cache.newest(2), 2: cache})
    memory.save(tmp_path / "views.safetensors")
    assert_identical(Memory.load(tmp_path / "views.safetensors")[0], memory)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(memory, tmp_path, share):
    path = tmp_path / "s.safetensors"
    memory.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WorkbenchError, match="; it is truncated or"):
        Memory.load(path)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="none.safetensors not found"):
        Memory.load(tmp_path / "none.safetensors")
    with pytest.raises(WorkbenchError, match="is not a regular file"):
        Memory.load(tmp_path)
    foreign = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(2)}, foreign)
    with pytest.raises(WorkbenchError, match="has format None; expected sleep-memory/2"):
        Memory.load(foreign)
    for form, said in (("3", "'sleep-memory/3'"), ("2", "'sleep-memory/2' without a checksum")):
        header = {"format": f"sleep-memory/{form}", "extra": json.dumps({})}
        safetensors.torch.save_file({"x": torch.zeros(2)}, foreign, metadata=header)
        with pytest.raises(WorkbenchError, match=f"has format {said}"):
            Memory.load(foreign)


@pytest.mark.parametrize("name", ["x", "fast_weights", "fast_weights.a", "kv.0.keys.1", "kv.0"])
def test_tensors_of_other_names_are_refused(tmp_path, name):
    write_tensors(tmp_path / "s", {name: torch.zeros(2)}, {"format": FORMAT, "extra": "{}"})
    with pytest.raises(WorkbenchError, match="does not hold a memory"):
        Memory.load(tmp_path / "s")


@pytest.mark.parametrize("extra", ["{", "[]", "[" * 100_000, '{"a": NaN}', None])
def test_a_header_that_is_not_json_is_refused(tmp_path, extra):
    header = {"format": FORMAT} | ({} if extra is None else {"extra": extra})
    write_tensors(tmp_path / "s", {"fast_weights.0": torch.zeros(2)}, header)
    with pytest.raises(WorkbenchError, match="header|extra"):
        Memory.load(tmp_path / "s")


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "s"
    Memory({0: torch.arange(4.0)}).save(path, {"step": 3})
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 7) if place % 7 else range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises(WorkbenchError):
                Memory.load(path)


def test_the_checksum_is_the_sha256_of_the_file_with_zeros_in_its_place(memory, tmp_path):
    path = tmp_path / "s"
    memory.save(path, {"sha256": "0" * 64, "text": '"sha256":"' + "1" * 64 + '"'})
    with safetensors.safe_open(path, framework="pt") as file:
        stored = file.metadata()["sha256"].encode()
    whole = path.read_bytes()
    assert whole.count(stored) == 1
    assert hashlib.sha256(whole.replace(stored, b"0" * 64)).hexdigest().encode() == stored
    assert_identical(Memory.load(path)[0], memory)
    assert path.stat().st_mode & 0o777 == 0o666 & ~UMASK


def test_a_file_of_the_earlier_format_is_read_with_a_warning(memory, tmp_path):
    header = {"format": "sleep-memory/1", "extra": '{"step": 3}'}
    tensors = {n: t.detach().clone().contiguous() for n, t in memory.tensors().items()}
    safetensors.torch.save_file(tensors, tmp_path / "s", metadata=header)
    with pytest.warns(UserWarning, match="has no checksum"):
        found, extra = Memory.load(tmp_path / "s")
    assert_identical(found, memory)
    assert extra == {"step": 3}


def test_a_write_that_fails_leaves_the_old_file(memory, tmp_path, monkeypatch):
    path = tmp_path / "s.safetensors"
    memory.save(path, {"version": 1})

    def half_written(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", half_written)
    with pytest.raises(OSError, match="disk full"):
        memory.save(path, {"version": 2})
    assert Memory.load(path)[1] == {"version": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]
