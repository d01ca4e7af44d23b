"""What a backend refuses before it runs; needs neither a GPU nor the peer."""

import pytest
import torch

from sleep_kernels.backends import REGISTRY, backend_status, choose_backend
from sleep_kernels.contract import Call


def call(dtype=torch.bfloat16, keys=32, values=32, delta=True):
    """Return a call of the given sizes without data."""
    k, v = (torch.empty((1, 4, 2, size), dtype=dtype, device="meta") for size in (keys, values))
    return Call(k, k, v, None, None, None, delta=delta)


FLA = [
    ({"dtype": torch.float32}, "float32 inputs; expected bfloat16 or float16"),
    ({"keys": 272}, "key = 272; expected at most 256"),
    ({"dtype": torch.float64}, "float64 inputs; expected bfloat16 or float16"),
    ({"keys": 256}, None),
    ({"dtype": torch.float16, "values": 512}, None),
    ({"dtype": torch.float32, "keys": 512, "delta": False}, None),
]
TRITON = [
    ({"keys": 48}, "key = 48; expected one of 16, 32, 64, 96, 128"),
    ({"values": 272}, "value = 272; expected a multiple of 16 up to 256"),
    ({"values": 24}, "value = 24; expected a multiple of 16 up to 256"),
    ({"dtype": torch.float32, "keys": 96, "values": 256}, None),
]


@pytest.mark.parametrize(
    ("backend", "given", "reason"),
    [*(("fla", *case) for case in FLA), *(("triton", *case) for case in TRITON)],
)
def test_sizes_and_dtypes_are_refused_by_name(backend, given, reason, monkeypatch):
    monkeypatch.setattr(type(REGISTRY[backend]), "missing", lambda self, device: None)
    asked = (backend, torch.device("cpu"), call(**given))
    if reason is None:
        assert choose_backend(*asked) == backend
        return
    with pytest.raises(RuntimeError, match=f"{backend}' cannot serve: {reason}; use backend='auto"):
        choose_backend(*asked)


def test_the_capability_is_that_of_the_tensors_device(monkeypatch):
    """An old card next to a new one: cuda:1 is refused although cuda:0 is current."""
    found = {0: (9, 0), 1: (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: found[d.index])
    old = backend_status("cuda:1")["triton"]
    assert old == "cuda:1 has compute capability 7.5; expected 8.0 (A100) or newer"
    assert backend_status("cuda:0")["triton"] is None
    chosen = [choose_backend("auto", torch.device("cuda", i)) for i in (0, 1)]
    assert chosen == ["triton", "cpu"]
