"""The stack: gradients, interleavings, padding, pieces and wholes."""

import subprocess
import sys
from itertools import permutations

import pytest
import torch
from torch.testing import assert_close

from workbench.config import ModelConfig, layer_kinds
from workbench.errors import WorkbenchError
from workbench.model import HybridModel

KINDS = layer_kinds()
FAST = [kind for kind in KINDS if kind != "attention"]
STACKS = [("attention", kind) for kind in FAST] + [("attention",), ("jet", "attention", "delta")]
every_stack = pytest.mark.parametrize("layers", STACKS, ids="-".join)


def tokens(batch=3, count=7, seed=0):
    return torch.randint(7, (batch, count), generator=torch.Generator().manual_seed(seed))


def run(model, given, memory=None, **options):
    memory = model.empty_memory(len(given)) if memory is None else memory
    return model.blocks(model.embed(given), memory, **options)


def assert_same_memory(found, expected, *, atol=0.0):
    assert found.tensors().keys() == expected.tensors().keys()
    for name, tensor in expected.tensors().items():
        assert_close(found.tensors()[name], tensor, rtol=0, atol=atol, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(tiny_model, kind):
    model = tiny_model("attention", kind).train()
    given = tokens()
    hidden, _ = run(model, given)
    torch.nn.functional.cross_entropy(model.logits(hidden).mT, given).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("kind", FAST)
def test_what_is_written_has_gradients_too(tiny_model, kind):
    """S after the window depends on everything but what only reads it."""
    model = tiny_model(kind, mlp_width=0).train()
    _, memory = run(model, tokens(), output=False)
    memory.fast_weights[0].square().sum().backward()
    reads_only = {"query", "gate", "out", "norm", "final_norm", "head"}
    for name, parameter in model.named_parameters():
        if not reads_only & set(name.split(".")):
            assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("layers", list(permutations(("attention", "gated_delta", "jet"))))
def test_any_interleaving_runs(tiny_model, layers):
    model = tiny_model(*layers, "attention", mlp_width=0)
    hidden, memory = run(model, tokens())
    assert model.depth == 4
    assert model.logits(hidden).shape == (3, 7, 7)
    assert set(memory.fast_weights) == {i for i, kind in enumerate(layers) if kind != "attention"}
    assert set(memory.kv) == {i for i, kind in enumerate((*layers, "attention"))} - set(
        memory.fast_weights
    )


@every_stack
@pytest.mark.parametrize("keep_kv", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_without_output_the_memory_is_the_same(tiny_model, layers, keep_kv, first):
    model = tiny_model(*layers)
    hidden, full = run(model, tokens(), first=first, keep_kv=keep_kv)
    nothing, memory = run(model, tokens(), first=first, keep_kv=keep_kv, output=False)
    assert hidden is not None and nothing is None
    assert_same_memory(memory, full)
    assert bool(full.kv) == (keep_kv and "attention" in layers[first:])


@every_stack
def test_left_padding_changes_nothing(tiny_model, layers):
    """A padded sequence equals the bare one, in one pass and in the next, tails carried."""
    model = tiny_model(*layers)
    given, pads = tokens(), 4
    padded = torch.cat((torch.randint(7, (3, pads)), given), dim=1)
    valid = torch.arange(padded.shape[1]).expand(3, -1) >= pads
    hidden, memory = model.embed(given), model.empty_memory(3)
    hidden_padded, memory_padded = model.embed(padded), model.empty_memory(3)
    for _ in range(2):
        hidden, memory = model.blocks(hidden, memory, keep_kv=False)
        hidden_padded, memory_padded = model.blocks(
            hidden_padded, memory_padded, valid=valid, keep_kv=False
        )
        assert_close(hidden_padded[:, pads:], hidden, rtol=0, atol=1e-10)
        assert_same_memory(memory_padded, memory, atol=1e-10)
    assert torch.isfinite(hidden_padded).all()


@every_stack
def test_padding_differs_between_sequences_of_a_batch(tiny_model, layers):
    """Each row equals itself alone; what the pads hold does not matter."""
    model = tiny_model(*layers)
    given = tokens(count=6)
    valid = torch.arange(6) >= torch.tensor([0, 2, 5])[:, None]
    hidden, memory = run(model, given, valid=valid)
    for row, pads in enumerate((0, 2, 5)):
        alone, left = run(model, given[row : row + 1, pads:])
        assert_close(hidden[row : row + 1, pads:], alone, rtol=0, atol=1e-10)
        for layer, state in left.fast_weights.items():
            assert_close(memory.fast_weights[layer][row : row + 1], state, rtol=0, atol=1e-10)


@every_stack
def test_a_window_of_pads_writes_nothing(tiny_model, layers):
    model = tiny_model(*layers)
    _, before = run(model, tokens(), keep_kv=False)
    none = torch.zeros(3, 7, dtype=torch.bool)
    hidden, after = run(model, tokens(), before, valid=none, keep_kv=False)
    assert_same_memory(after, before)
    assert torch.isfinite(hidden).all()


@every_stack
@pytest.mark.parametrize("cut", [1, 2, 6])
@pytest.mark.parametrize("window", [None, 3])
def test_two_pieces_are_one_call(tiny_model, layers, cut, window):
    """Cache, convolution tail and S are all that a later piece needs of an earlier one."""
    model = tiny_model(*layers)
    given = tokens()
    hidden, memory = run(model, given, window=window)
    first, between = run(model, given[:, :cut], window=window)
    second, after = run(model, given[:, cut:], between, window=window)
    assert_close(torch.cat((first, second), 1), hidden, rtol=0, atol=1e-10)
    assert_same_memory(after, memory, atol=1e-10)


@every_stack
def test_each_carried_part_matters(tiny_model, layers):
    """The test above could not see a part that nothing reads."""
    model = tiny_model(*layers)
    given = tokens()
    _, between = run(model, given[:, :4])
    second, _ = run(model, given[:, 4:], between)
    changed = [{"kv": {}}] if "attention" in layers else []
    if len(layers) > 1:
        changed += [{"conv_tails": {}}, {"fast_weights": between.erase().fast_weights}]
    for change in changed:
        other, _ = run(model, given[:, 4:], between.replace(**change))
        assert (other - second).abs().max() > 1e-6, change.keys()


def test_the_memory_given_is_not_changed(tiny_model):
    model = tiny_model("attention", "gated_delta", "jet")
    _, memory = run(model, tokens())
    before = memory.clone()
    run(model, tokens(seed=1), memory)
    assert_same_memory(memory, before)


def test_blocks_in_ranges_are_blocks_in_one_go(tiny_model):
    model = tiny_model("attention", "gated_delta", "jet")
    hidden, memory = run(model, tokens())
    first, between = run(model, tokens(), last=1)
    assert set(between.tensors()) == {*model.empty_memory(3).tensors()} | {
        f"kv.0.{part}" for part in ("keys", "values", "valid")
    }
    second, after = model.blocks(first, between, first=1)
    assert torch.equal(second, hidden)
    assert_same_memory(after, memory)


def test_the_future_is_not_seen(tiny_model):
    for layers in STACKS:
        model = tiny_model(*layers)
        hidden = model.embed(tokens()).detach().requires_grad_()
        output, _ = model.blocks(hidden, model.empty_memory(3))
        (gradient,) = torch.autograd.grad(output[:, 3].sum(), hidden)
        assert not gradient[:, 4:].any()
        assert gradient[:, :4].abs().sum((0, 2)).all()


def test_initial_weights_are_those_of_the_paper():
    config = ModelConfig(vocabulary=500, width=64, layers=("attention", "gated_delta", "jet"))
    model = HybridModel(config)
    deviations = {n: float(p.detach().std()) for n, p in model.named_parameters() if p.ndim == 2}
    assert deviations["embedding.weight"] == pytest.approx(1, rel=0.05)
    for name in ("head", "stack.0.mixer.out", "stack.1.mixer.out", "stack.2.mlp.down"):
        assert deviations[f"{name}.weight"] == pytest.approx(0.02, rel=0.05)
    assert deviations["stack.0.mixer.query.weight"] == pytest.approx(64**-0.5, rel=0.05)
    assert all(value > 0 for value in deviations.values()), "a matrix of zeros"


def test_without_a_vocabulary_there_is_no_model():
    with pytest.raises(WorkbenchError, match="vocabulary = 0; expected the number of symbols"):
        HybridModel(ModelConfig())


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_fast_weights_keep_their_precision(tiny_model, dtype):
    model = tiny_model(*FAST, dtype=dtype)
    state = torch.float64 if dtype == "float64" else torch.float32
    assert {s.dtype for s in model.empty_memory(3).fast_weights.values()} == {state}
    hidden, memory = run(model, tokens())
    assert {s.dtype for s in memory.fast_weights.values()} == {state}
    assert hidden.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("kind", FAST)
def test_mixed_precision_keeps_the_state_in_float32(tiny_model, kind):
    """What differs from full precision is rounding, and no layer falls back with a warning."""
    model = tiny_model("attention", kind, dtype="float32")
    expected, _ = run(model, tokens())
    with torch.autocast("cpu", torch.bfloat16):
        hidden, memory = run(model, tokens())
    assert memory.fast_weights[1].dtype == torch.float32
    assert (hidden - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize("kind", FAST)
def test_the_kernel_backend_is_a_choice_of_speed_only(tiny_model, kind):
    hidden, memory = run(tiny_model(kind), tokens())
    other, left = run(tiny_model(kind, kernel_backend="reference"), tokens())
    assert_close(other, hidden, rtol=0, atol=1e-10)
    assert_same_memory(left, memory, atol=1e-10)


def test_the_final_norm_belongs_to_the_head_unless_it_was_applied(tiny_model):
    model = tiny_model()
    hidden, _ = run(model, tokens())
    assert torch.equal(model.logits(hidden), model.logits(model.normalise(hidden), normalise=False))
    rms = model.normalise(hidden).square().mean(-1)
    assert_close(rms, torch.ones_like(rms), rtol=1e-4, atol=0)


@pytest.mark.process
def test_compiled_blocks_are_one_graph_and_nothing_else_loads_the_compiler():
    """Of every kind of layer; a break would cost a compiled step more than it gains.

    In a process without the tests' run-time checks of annotations, which cannot be traced.
    """
    code = (
        "import sys\n"
        "import torch\n"
        "from workbench.config import ModelConfig, TrainingConfig\n"
        "from workbench.model import HybridModel\n"
        "from workbench.training.optimisers import build_optimisers\n"
        "layers = ('attention', 'gated_delta', 'mamba2', 'jet')\n"
        "model = HybridModel(ModelConfig(vocabulary=5, layers=layers))\n"
        "optimisers = build_optimisers(model, TrainingConfig())\n"
        "for p in model.parameters(): p.grad = torch.ones_like(p)\n"
        "optimisers.step(0)\n"
        "print('loaded:', {'torch._dynamo', 'sympy'} & set(sys.modules))\n"
        "hidden = model.embed(torch.arange(8).view(2, 4) % 5).detach().requires_grad_()\n"
        "run = torch._dynamo.explain(lambda x: model.blocks(x, model.empty_memory(2))[0])\n"
        "print('breaks:', run(hidden).break_reasons)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.stdout == "loaded: set()\nbreaks: []\n", done.stdout + done.stderr
