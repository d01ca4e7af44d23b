"""The custom operators as torch sees them: schemas, fakes, compiled graphs, saved tensors."""

import os
from dataclasses import replace

import pytest
import torch
from triton_cases import ALL, FUSED, make, run_triton

import sleep_kernels
from sleep_kernels.contract import CHUNK
from sleep_kernels.operators import flatten
from sleep_kernels.triton import run
from sleep_kernels.triton.run import rule


def arguments(case, **options):
    """Return the flat arguments of the forward operator."""
    inputs, settings = flatten(case.with_options(**options))
    return *inputs, *settings


@pytest.mark.parametrize(
    ("tokens", "options", "absent"),
    [
        (1, {}, "nothing"), (20, {}, "nothing"), (1, {}, "chunk_states"), (1, {}, "change_norm"),
        (20, FUSED, "both"), (1, FUSED, "q"), (20, {}, "all"),
    ],
)  # fmt: skip
def test_operators_pass_torchs_checks(tokens, options, absent):
    """With every result that an operator can return, and with some of them left out."""
    rule_backward = torch.ops.sleep_kernels.triton_rule_backward.default

    case = make(tokens=tokens, **options).to(torch.float32)
    if absent in ("q", "all"):  # the output norm goes with the output, as in `run_triton`
        case.call = replace(case.with_options(output_norm=None), q=None)
    returned = {n: absent not in (n, "both", "all") for n in ("chunk_states", "change_norm")}
    for x in case.leaves().values():
        x.requires_grad_()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    flat = arguments(case, **returned)
    torch.library.opcheck(rule, flat, test_utils=checks)
    plain = tuple(x.detach() if torch.is_tensor(x) else x for x in flat)
    for gradients in ((case.d_output, case.d_state), (None, case.d_state)):
        if case.call.q is not None or gradients[0] is None:
            torch.library.opcheck(rule_backward, (*plain, *gradients), test_utils=checks[::2])


@pytest.mark.parametrize("asked", [(False, False, False), (True, False, True)])
def test_the_fakes_outputs_do_not_alias(asked):
    """Absent ones too: an operator's outputs must not alias each other."""
    from torch._subclasses import FakeTensorMode

    read, chunk_states, change_norm = asked
    case = make(tokens=35).to(torch.float32)
    if not read:
        case.call = replace(case.call, q=None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        found = rule(*arguments(case, chunk_states=chunk_states, change_norm=change_norm))
    assert [x.numel() > 0 for x in found] == [read, True, chunk_states, change_norm]
    assert len({x.untyped_storage()._cdata for x in found}) == 4


@pytest.mark.parametrize("tokens", [1, 35])
def test_a_compiled_call_is_one_graph_and_finds_the_same(tokens):
    case = make(tokens=tokens, **ALL).to(torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(run_triton, backend="aot_eager", fullgraph=True)
    found, expected = case.results(compiled), case.results()
    assert all(torch.equal(x, expected[name]) for name, x in found.items())


def test_the_backward_saves_nothing_but_the_inputs():
    case = make(tokens=35).to(torch.float32)
    leaves = case.leaves()
    for x in leaves.values():
        x.requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        run_triton(case.call)
    assert {x.data_ptr() for x in saved} <= {x.data_ptr() for x in leaves.values()}


def test_inputs_are_left_as_they_were():
    case = make(tokens=35, **FUSED).to(torch.float32)
    before = {name: x.clone() for name, x in case.leaves().items()}
    case.results()
    assert all(torch.equal(x, before[name]) for name, x in case.leaves().items())


def test_autocast_does_not_touch_the_operator():
    for values in (16, 48):  # output norm inside the kernel, and after it
        case = make(tokens=20, values=values, **FUSED).to(torch.float32)
        expected = run_triton(case.call)
        with torch.autocast(case.call.k.device.type, torch.bfloat16):
            found = run_triton(case.call)
        assert torch.equal(found.output, expected.output)
        assert torch.equal(found.state, expected.state)


def test_inference_mode_and_no_grad_find_the_same():
    case = make(tokens=20).to(torch.float32)
    expected = run_triton(case.call)
    with torch.inference_mode():
        found = run_triton(case.call)
    assert torch.equal(found.state, expected.state)


def test_the_public_rules_reach_the_kernels():
    call = make(tokens=35, heads=2).to(torch.float32).call
    given = call.q, call.k, call.v, call.log_decay, call.beta, call.state
    found = sleep_kernels.gated_delta_rule(*given, backend="triton", chunk_states=True)
    expected = sleep_kernels.gated_delta_rule(*given, backend="cpu", chunk_states=True)
    torch.testing.assert_close(found.output, expected.output, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.chunk_states, expected.chunk_states, rtol=1e-5, atol=1e-5)
    if os.environ.get("TRITON_INTERPRET") == "1":  # an oracle for tests, never chosen
        assert sleep_kernels.choose_backend("auto", torch.device("cpu")) != "triton"


def test_one_token_takes_the_step_kernel(monkeypatch):
    launched = []
    monkeypatch.setattr(run.Launch, "__call__", lambda launch: launched.append(launch.kernel))
    for tokens in (1, 2):
        run_triton(make(tokens=tokens).to(torch.float32).call)
    assert launched == [run.step_kernel, run.forward_kernel]


def test_decoding_token_by_token_is_the_whole_window():
    call = make(tokens=CHUNK + 3, values=48, **FUSED).to(torch.float32).call
    whole = run_triton(call)
    state, outputs = call.state, []
    for t in range(call.k.shape[1]):
        at = slice(t, t + 1)
        names = ("q", "k", "v", "log_decay", "beta")
        step = replace(call, state=state, **{n: getattr(call, n)[:, at] for n in names})
        norm = call.options.output_norm._replace(gate=call.options.output_norm.gate[:, at])
        options = replace(call.options, output_norm=norm, valid=call.options.valid[:, at])
        result = run_triton(replace(step, options=options))
        state = result.state
        outputs.append(result.output)
    torch.testing.assert_close(state, whole.state, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat(outputs, 1), whole.output, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_a_training_step_can_be_captured_in_a_cuda_graph(requires_cuda):
    case = make(tokens=70, keys=64, values=64, heads=2, **FUSED).to(torch.float32)
    expected = case.results()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = case.results()
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(x, expected[name]) for name, x in found.items())
