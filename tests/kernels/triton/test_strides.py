"""Slices of wider tensors go to the kernels as they are: the same bits, and no copy."""

from dataclasses import replace

import pytest
import torch

from sleep_kernels.operators import Inputs
from sleep_kernels.triton.arguments import MOST_STEP, STRIDES, indexable, strides_of

ALL = dict.fromkeys(("normalise", "gates", "output_norm", "valid"), True)
STRIDED = ("q", "k", "v", "gate")


class Spy:
    """A kernel that notes where q, k, v and gate of every launch lie."""

    def __init__(self, kernel, seen):
        self.kernel, self.seen = kernel, seen

    def __getitem__(self, grid):
        def launch(*arguments, **constants):
            given = Inputs(*arguments[: len(Inputs._fields)])
            self.seen.append([getattr(given, name).data_ptr() for name in STRIDED])
            return self.kernel[grid](*arguments, **constants)

        return launch


@pytest.fixture
def launches(monkeypatch):
    """Return a list that fills with the addresses of `STRIDED`, one entry a launch."""
    from sleep_kernels.triton import backward, forward, step

    seen = []
    for module, name in (
        (forward, "forward_kernel"),
        (backward, "backward_kernel"),
        (step, "step_kernel"),
    ):
        monkeypatch.setattr(module, name, Spy(getattr(module, name), seen))
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


def check_same(case, other, run_triton):
    """Check that two cases find the same bits, and gradients that are contiguous."""
    found, expected = other.results(run_triton), case.results(run_triton)
    for name, x in expected.items():
        assert torch.equal(found[name], x), name
        assert found[name].is_contiguous(), name


@pytest.mark.parametrize(
    ("batch", "tokens", "spare"), [(1, 1, 0), (2, 1, 1), (1, 35, 16), (2, 20, 1)]
)
def test_slices_of_one_tensor(batch, tokens, spare, make, run_triton, launches):
    case = make(tokens=tokens, batch=batch, heads=2, **ALL).to(torch.float32)
    slices = with_given(case, sliced(given(case), spare))
    assert not any(x.is_contiguous() for x in given(slices)) or batch == tokens == 1
    check_same(case, slices, run_triton)
    assert len(launches) == 4
    addresses = [x.data_ptr() for x in given(slices)]
    assert launches[0] == addresses == launches[1], "a slice was copied"


def test_slices_where_blocks_of_values_share_a_gradient(make, run_triton):
    """48 values: gradients of q and k are summed in float32, the norm is worked out outside."""
    case = make(tokens=20, values=48, heads=2, **ALL).to(torch.float32)
    check_same(case, with_given(case, sliced(given(case), 3)), run_triton)


@pytest.mark.parametrize("heads", [1, 2])
def test_axes_in_another_order(heads, make, run_triton, launches):
    """Tokens first: dense, so that `torch.empty_like` would keep the order in the gradients."""
    case = make(tokens=20, batch=2, heads=heads, **ALL).to(torch.float32)
    turned = [x.transpose(0, 1).contiguous().transpose(0, 1) for x in given(case)]
    check_same(case, with_given(case, turned), run_triton)
    assert launches[0] == [x.data_ptr() for x in turned]


def test_one_row_for_every_token_and_sequence(make, run_triton, launches):
    """Strides of zero."""
    case = make(tokens=20, batch=2, **ALL).to(torch.float32)
    wide = [x[:1, :1].expand(x.shape) for x in given(case)]
    case = with_given(case, [x.contiguous() for x in wide])
    check_same(case, with_given(case, wide), run_triton)
    assert launches[0] == [x.data_ptr() for x in wide]


def test_heads_that_are_not_packed_are_copied(make, run_triton, launches):
    case = make(tokens=20, heads=2, **ALL).to(torch.float32)
    spread = [torch.cat((x, x), dim=-1)[..., : x.shape[-1]] for x in given(case)]
    check_same(case, with_given(case, spread), run_triton)
    assert not set(launches[0]) & {x.data_ptr() for x in spread}


def inputs(q, k, v, gate=None):
    """Return `Inputs` with nothing but q, k, v and gate."""
    return Inputs(**dict.fromkeys(Inputs._fields) | {"q": q, "k": k, "v": v, "gate": gate})


@pytest.mark.parametrize(("spare", "unit"), [(0, 16), (8, 8), (12, 4), (6, 2), (3, 1)])
def test_the_unit_divides_every_stride(spare, unit):
    """So that one compiled kernel serves all slices as aligned, and loads 16 bytes at a time."""
    joint = torch.empty(2, 24, 3 * 64 + spare)
    q, k, v = (x.unflatten(-1, (4, 16)) for x in joint[..., : 3 * 64].split(64, dim=-1))
    strides, found = strides_of(inputs(q, k, v))
    assert found == unit
    assert [x * unit for x in strides] == [*(24 * (192 + spare), 192 + spare) * 3, 0, 0]
    assert len(strides) == len(STRIDES)


def test_an_axis_of_one_has_no_stride():
    x = torch.empty(10**4).as_strided((1, 1, 1, 16), (7, 5, 3, 1))
    assert indexable(x) is x
    assert strides_of(inputs(x, x, x, x)) == ([0] * 8, 16)


def test_tokens_too_far_apart_for_32_bits_are_copied():
    """Offsets within a chunk are 32 bits; those of a sequence or a chunk are 64."""
    for step, kept in ((MOST_STEP - 1, True), (MOST_STEP, False)):
        x = torch.empty(1, device="meta").expand(2 * step + 2**33)
        x = x.as_strided((2, 2, 1, 16), (2**32, step, 16, 1))
        assert (indexable(x) is x) is kept
