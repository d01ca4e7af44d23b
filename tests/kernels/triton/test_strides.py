"""Slices of wider tensors go to the kernels as they are: the same bits, and no copy."""

from dataclasses import replace

import pytest
import torch
from triton_cases import FUSED, check_same, make

from sleep_kernels.operators import Inputs
from sleep_kernels.triton import run
from sleep_kernels.triton.arguments import MOST_STEP, indexable, strides_of

STRIDED = ("q", "k", "v", "gate")


@pytest.fixture
def launches(monkeypatch):
    """Return a list that fills with the addresses of `STRIDED`, one entry a launch."""
    seen, launch = [], run.Launch.__call__

    def spy(self):
        seen.append([self.arguments[f"p_{name}"].data_ptr() for name in STRIDED])
        launch(self)

    monkeypatch.setattr(run.Launch, "__call__", spy)
    return seen


def given(case):
    """Return q, k, v and gate of a case."""
    return [case.call.q, case.call.k, case.call.v, case.call.options.output_norm.gate]


def with_given(case, tensors):
    """Return the case with other q, k, v and gate."""
    q, k, v, gate = tensors
    norm = case.call.options.output_norm._replace(gate=gate)
    return replace(case, call=replace(case.with_options(output_norm=norm), q=q, k=k, v=v))


def sliced(tensors, spare):
    """Return copies that are slices of one tensor, `spare` columns of NaN between and after."""
    batch, tokens, heads, _ = tensors[0].shape
    widths = [width for x in tensors for width in (heads * x.shape[-1], spare)]
    parts = tensors[0].new_full((batch, tokens, sum(widths)), torch.nan).split(widths, dim=-1)
    apart = [part.unflatten(-1, (heads, -1)) for part in parts[::2]]
    for part, x in zip(apart, tensors, strict=True):
        part.copy_(x)
    return apart


@pytest.mark.parametrize(
    ("batch", "tokens", "heads", "spare"), [(2, 1, 2, 1), (2, 35, 1, 16), (1, 20, 2, 1)]
)
def test_slices_of_one_tensor(batch, tokens, heads, spare, launches):
    case = make(tokens=tokens, batch=batch, heads=heads, **FUSED).to(torch.float32)
    slices = with_given(case, sliced(given(case), spare))
    assert not any(x.is_contiguous() for x in given(slices))
    found = check_same(case, slices)
    assert all(x.is_contiguous() for x in found.values())
    addresses = [x.data_ptr() for x in given(slices)]
    assert len(launches) == 4
    assert launches[0] == addresses == launches[1], "a slice was copied"


def test_slices_where_blocks_of_values_share_a_gradient():
    """48 values: gradients of q and k are summed in float32, the norm is worked out outside."""
    case = make(tokens=20, values=48, heads=2, **FUSED).to(torch.float32)
    check_same(case, with_given(case, sliced(given(case), 3)))


@pytest.mark.parametrize("heads", [1, 2])
def test_axes_in_another_order(heads, launches):
    """Tokens first: dense, so that `torch.empty_like` would keep the order in the gradients."""
    case = make(tokens=3, batch=2, heads=heads, **FUSED).to(torch.float32)
    turned = [x.transpose(0, 1).contiguous().transpose(0, 1) for x in given(case)]
    found = check_same(case, with_given(case, turned))
    assert all(x.is_contiguous() for x in found.values())
    assert launches[0] == [x.data_ptr() for x in turned]


def test_one_row_for_every_token_and_sequence(launches):
    """Strides of zero."""
    case = make(tokens=20, batch=2, **FUSED).to(torch.float32)
    wide = [x[:1, :1].expand(x.shape) for x in given(case)]
    case = with_given(case, [x.contiguous() for x in wide])
    check_same(case, with_given(case, wide))
    assert launches[0] == [x.data_ptr() for x in wide]


def test_heads_that_are_not_packed_are_copied(launches):
    case = make(tokens=20, heads=2, **FUSED).to(torch.float32)
    spread = [torch.cat((x, x), dim=-1)[..., : x.shape[-1]] for x in given(case)]
    check_same(case, with_given(case, spread))
    assert not set(launches[0]) & {x.data_ptr() for x in spread}


def inputs(q, k, v, gate=None):
    """Return `Inputs` with nothing but q, k, v and gate."""
    return Inputs(**dict.fromkeys(Inputs._fields) | {"q": q, "k": k, "v": v, "gate": gate})


@pytest.mark.parametrize(("spare", "unit"), [(0, 16), (8, 8), (12, 4), (6, 2), (3, 1)])
def test_the_unit_divides_every_stride(spare, unit):
    """So that one compiled kernel serves all slices as aligned, and loads 16 bytes at a time."""
    joint = torch.empty(2, 24, 3 * 64 + spare)
    q, k, v = (x.unflatten(-1, (4, 16)) for x in joint[..., : 3 * 64].split(64, dim=-1))
    *strides, found = strides_of(inputs(q, k, v)).values()
    assert found == unit
    assert [x * unit for x in strides] == [*(24 * (192 + spare), 192 + spare) * 3, 0, 0]


def test_an_axis_of_one_has_no_stride():
    x = torch.empty(10**4).as_strided((1, 1, 1, 16), (7, 5, 3, 1))
    assert indexable(x) is x
    assert [*strides_of(inputs(x, x, x, x)).values()] == [0] * 8 + [16]


def test_tokens_too_far_apart_for_32_bits_are_copied():
    """Offsets within a chunk are 32 bits; those of a sequence or a chunk are 64."""
    for step, kept in ((MOST_STEP - 1, True), (MOST_STEP, False)):
        x = torch.empty(1, device="meta").expand(2 * step + 2**33)
        x = x.as_strided((2, 2, 1, 16), (2**32, step, 16, 1))
        assert (indexable(x) is x) is kept
