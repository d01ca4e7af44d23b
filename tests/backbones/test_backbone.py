"""Pretrained models asleep, against transformers' own forward, slow ones and finite differences."""

import numpy as np
import pytest
import torch
from tiny_backbones import HYBRIDS, LIKE_LLAMA, OURS, slow_logits
from torch import nn

import workbench
from workbench.backbones.additions import retrofitted
from workbench.backbones.backbone import Backbone, insert
from workbench.backbones.cache import LayerCache, keyword_of
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments import attribution, lens, provenance
from workbench.instruments.boundaries import at, before_answers, read_boundaries, read_on
from workbench.instruments.patching.context_swaps import swap_context
from workbench.retrofit_config import RetrofitConfig
from workbench.sleep import Session, Wake, WritingModel, generate, read
from workbench.tasks import batch_generator

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def tokens():
    return torch.as_tensor(np.random.default_rng(1).integers(0, 20, (2, 12)))


def batch_of(tokens, labels):
    """A batch whose tokens from `labels` on are to be predicted."""
    every = np.ones(tokens.shape, dtype=bool)
    mask = every & (np.arange(tokens.shape[1]) >= labels)
    none = np.full(tokens.shape, -1)
    return Batch(tokens.numpy(), mask, every, none, np.zeros((len(tokens), 0), dtype=np.int64))


def enlarged(model):
    """Let what was inserted do something."""
    for layer in model.inserted.values():
        nn.init.normal_(layer.mixer.out.weight, std=0.3, generator=torch.Generator().manual_seed(1))
    return model


def made(tiny_base, family, vocabulary=20):
    """Return a family's model; of those without fast weights one with inserted ones.

    Ours are in float64: in float32 the norms of tiny random models enlarge rounding to 6e-5.
    """
    after = {"inserted": ("llama", "gated_delta"), "ouro inserted": ("ouro", "jet")}
    base, kind = after.get(family, (family, None))
    base = tiny_base(base, vocabulary)
    base = base.double() if kind or family in OURS else base
    return Backbone(base) if kind is None else enlarged(insert(base, kind, (0, 2)))


def reference(base, tokens):
    """Return the logits that transformers computes, or for our own decoders the slow ones."""
    return slow_logits(base, tokens) if base.config.model_type in OURS else base(tokens).logits


def slept_as(family, **options):
    """Return how a family sleeps: the final norm of Ouro belongs to its loop."""
    inside = family.startswith("ouro")
    return SleepConfig(final_norm="inside" if inside else "outside", **options)


@pytest.mark.parametrize("family", [*HYBRIDS, *LIKE_LLAMA, *OURS])
@torch.no_grad()
def test_one_pass_over_one_window_is_the_forward_of_transformers(tiny_base, tokens, family):
    """Of our own decoders it is a slow one, written from the published description."""
    model = made(tiny_base, family)
    expected = reference(model.base, tokens)
    assert expected.std() > 0.1
    (wake, _) = read(model, batch_of(tokens, 1), slept_as(family, window=12, passes=1))
    torch.testing.assert_close(wake.logits, expected, **CLOSE)


@torch.no_grad()
def test_ouro_loops_with_its_final_norm_inside(tiny_base, tokens):
    """As published: the norm follows every pass, and no pass sees the keys of another."""
    model = made(tiny_base, "ouro")
    sleep = slept_as("ouro", window=12, passes=1, wake_passes=3)
    (wake, _) = read(model, batch_of(tokens, 1), sleep)
    torch.testing.assert_close(wake.logits, slow_logits(model.base, tokens, loops=3), **CLOSE)


@pytest.mark.parametrize("pieces", [(7, 1, 4), (1,) * 12], ids=["borders", "token by token"])
@pytest.mark.parametrize("family", [*HYBRIDS, *LIKE_LLAMA, *OURS, "inserted", "ouro inserted"])
@torch.no_grad()
def test_what_crosses_a_border_goes_on_as_one_long_forward(tiny_base, tokens, family, pieces):
    """S, convolution and KV; positions go on counting."""
    model = made(tiny_base, family)
    if model.inserted:
        hidden, _ = model.blocks(model.embed(tokens), model.empty_memory(2))
        expected = model.logits(hidden)
    else:
        expected = reference(model.base, tokens)
    memory, found = model.empty_memory(2), []
    for piece in tokens.split(pieces, dim=1):
        hidden, memory = model.blocks(model.embed(piece), memory)
        found.append(model.logits(hidden))
    torch.testing.assert_close(torch.cat(found, dim=1), expected, **CLOSE)


@pytest.mark.parametrize("family", [*HYBRIDS, "llama"])
@torch.no_grad()
def test_sliding_eviction_is_a_forward_whose_attention_reaches_as_far(tiny_base, tokens, family):
    """Each block reads at most a window back, in transformers by a mask of ours."""
    base = tiny_base(family)
    back = torch.arange(12)[:, None] - torch.arange(12)
    mask = ((back >= 0) & (back < 5))[None, None]
    masks = mask if family == "llama" else {"full_attention": mask, "linear_attention": None}
    expected = base(tokens, attention_mask=masks).logits
    assert (expected - base(tokens).logits).abs().max() > 1e-2
    sleep = SleepConfig(window=5, passes=1, eviction="sliding", conv_state="carry")
    *_, wake, _ = read(Backbone(base), batch_of(tokens, 10), sleep)
    torch.testing.assert_close(wake.logits, expected[:, 10:], **CLOSE)


@pytest.mark.parametrize("family", [*HYBRIDS, "llama", "inserted", *OURS])
@torch.no_grad()
def test_padding_in_front_changes_nothing(tiny_base, tokens, family):
    model = made(tiny_base, family)
    valid = torch.arange(12) >= torch.tensor([[0], [3]])
    hidden, after = model.blocks(model.embed(tokens), model.empty_memory(2), valid=valid)
    alone, expected = model.blocks(model.embed(tokens[1:, 3:]), model.empty_memory(1))
    torch.testing.assert_close(hidden[1:, 3:], alone, **CLOSE)
    for i, state in expected.fast_weights.items():
        torch.testing.assert_close(after.fast_weights[i][1:], state, **CLOSE)


@pytest.mark.parametrize("family", HYBRIDS)
@torch.no_grad()
def test_padding_anywhere_leaves_no_trace_in_s(tiny_base, tokens, family):
    """A sequence with padding in front, inside and behind is that sequence alone; one has none."""
    model = Backbone(tiny_base(family))
    entering = model.embed(tokens)
    before = model.blocks(entering, model.empty_memory(2))[1]
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[1, [0, 1, 5, 11]] = False
    real, one = valid[1], before.examples(slice(1, 2))
    hidden, after = model.blocks(entering, before, last=1, valid=valid)
    alone, expected = model.blocks(entering[1:, real], one, last=1)
    torch.testing.assert_close(hidden[1:, real], alone, **CLOSE)
    torch.testing.assert_close(after.fast_weights[0][1:], expected.fast_weights[0], **CLOSE)
    torch.testing.assert_close(after.conv_tails[0][1:], expected.conv_tails[0], **CLOSE)
    *_, kept = model.blocks(entering, before, last=1, valid=valid & torch.tensor([[True], [False]]))
    assert torch.equal(kept.fast_weights[0][1:], one.fast_weights[0])
    assert torch.equal(kept.conv_tails[0][1:], one.conv_tails[0])
    found = model.writes(0, entering, before, valid=valid)
    bare = model.writes(0, entering[1:, real], one)
    for ours, theirs in zip(found[:5], bare[:5], strict=True):
        torch.testing.assert_close(ours[1:, real], theirs, **CLOSE)
        assert not ours[1, ~real].any()


@pytest.mark.parametrize("family", [*HYBRIDS, "jet_nemotron", "ouro inserted"])
def test_gradients_of_a_slept_token_are_finite_differences(tiny_base, tokens, family):
    """Two sleeps of three passes; theirs in float32, the only dtype in which they compute S."""
    tokens[tokens == 19] = 18
    tokens[0, 2] = 19  # a symbol that stands nowhere else
    model = made(tiny_base, family)
    batch = batch_of(tokens, 8)
    sleep = slept_as(family, window=4, passes=3, conv_state="carry")
    row = model.base.model.embed_tokens.weight
    at_rest = row.detach().clone()

    def loss():
        *_, wake, _ = read(model, batch, sleep)
        scores = wake.logits[:, :-1].double().log_softmax(-1)
        return -scores.gather(-1, tokens[:, 9:, None]).mean()

    gradient = torch.autograd.grad(loss(), row)[0][19]
    assert gradient.norm() > 1e-4
    along = gradient / gradient.norm()

    @torch.no_grad()
    def moved(step):
        row.copy_(at_rest)
        row[19] += step * along
        return float(loss())

    # a large step leaves the tangent, a small one is lost in float32: one of the two has to agree
    slopes = [(moved(step) - moved(-step)) / (2 * step) for step in (1e-3, 1e-4)]
    assert min(abs(slope / float(gradient.norm()) - 1) for slope in slopes) < 1e-2


class Earlier(nn.Module):
    """A layer as transformers had them before 5.24: its cache is called past_key_values."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.name = layer, keyword_of([layer])
        for mixer in ("linear_attn", "self_attn"):
            if hasattr(layer, mixer):
                setattr(self, mixer, getattr(layer, mixer))

    def forward(self, hidden, past_key_values=None, **others):
        return self.layer(hidden, **{self.name: past_key_values}, **others)


class Later(Earlier):
    """A layer as they are from 5.24 on."""

    def forward(self, hidden, cache=None, **others):
        return super().forward(hidden, past_key_values=cache, **others)


@pytest.mark.parametrize("spelling", [Earlier, Later])
@torch.no_grad()
def test_both_names_of_the_cache_are_served(tiny_base, tokens, spelling):
    base = tiny_base("qwen3_5")
    expected = base(tokens).logits
    base.model.layers = nn.ModuleList(spelling(layer) for layer in base.model.layers)
    model = Backbone(base)
    assert model.keyword == ("past_key_values" if spelling is Earlier else "cache")
    hidden, _ = model.blocks(model.embed(tokens), model.empty_memory(2))
    torch.testing.assert_close(model.logits(hidden), expected, **CLOSE)


def test_a_layer_of_transformers_5_17_finds_s_in_its_cache():
    state = torch.ones(1)
    cache = LayerCache(state)
    assert cache.has_previous_state(3) and cache.layers[3].record_past
    assert cache.layers[3].recurrent_states[0] is state


@torch.no_grad()
def test_writes_use_the_activation_of_the_configuration(tiny_base, tokens):
    model = Backbone(tiny_base("qwen3_5"))
    model.stack[0].linear_attn.activation = "gelu"
    entering, memory = model.embed(tokens), model.empty_memory(2)
    _, k, v, log_decay, beta, _ = model.writes(0, entering, memory)
    state = memory.fast_weights[0]
    for t in range(12):
        state = log_decay[:, t, :, None, None].exp() * state
        error = v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t])
        state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], error)
    after = model.blocks(entering, memory, last=1)[1].fast_weights[0]
    torch.testing.assert_close(after, state, **CLOSE)


# --- instruments ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def depo():
    return workbench.task("depo", nodes=4, names="single", max_hops=2, queries=2)


@pytest.mark.parametrize("family", [*HYBRIDS, "inserted", "jet_nemotron", "ouro inserted"])
def test_instruments_run_on_it(tiny_base, depo, family):
    model = made(tiny_base, family, len(depo.vocabulary))
    model.requires_grad_(False)
    assert isinstance(model, WritingModel)
    batch, others = (depo.sample(3, batch_generator(0, step, "mine")) for step in (0, 1))
    sleep = slept_as(family, window=8, passes=2)
    trace = workbench.record(model, batch, sleep, task=depo)
    found = provenance.contribution_norms(trace)
    assert float(found["unexplained"].max()) < 1e-5
    shares = found["share"].sum(("source_window", "source_pass")) + found["carried_share"]
    np.testing.assert_allclose(shares, 1, atol=1e-5)
    woken = lens.lens(model, batch, sleep)
    np.testing.assert_allclose(woken["log_prob"], lens.lens_of(trace)["log_prob"], atol=1e-5)
    said = lens.likely_tokens(model, batch, sleep)["token"].values[..., 0]
    right = np.take_along_axis(batch.tokens, batch.answer_starts(), 1)[:, None, None]
    np.testing.assert_array_equal(said == right, woken["rank"] == 1)

    swapped = swap_context(depo, batch, others)
    whole = [e.logits for e in read(model, swapped, sleep) if isinstance(e, Wake)]
    boundary = before_answers(batch, sleep)
    own, theirs = (at(read_boundaries(model, b, sleep), boundary) for b in (batch, others))
    state = own.memory.replace(fast_weights=theirs.memory.fast_weights)
    patched = read_on(model, swapped, sleep, own.with_memory(state))
    for donor, ours in zip(whole, patched, strict=True):
        assert torch.equal(ours.logits, donor)
    by_pass = attribution.attribute_passes(model, batch, sleep, query=0, steps=4)
    assert np.isfinite(by_pass["attribution"]).all() and by_pass["attribution"].any()


@torch.no_grad()
def test_a_session_goes_on_from_its_file_and_writes_what_it_wrote(tiny_base, tokens, tmp_path):
    model = Backbone(tiny_base("qwen3_5"))
    sleep = SleepConfig(window=5, passes=2, eviction="sliding", conv_state="carry")
    session = Session(model, sleep, batch=2)
    session.push(tokens.numpy()[:, :8])
    session.save(tmp_path / "session.safetensors")
    again = Session.restore(model, tmp_path / "session.safetensors")
    written = [
        [g.tokens for g in generate(s, tokens.numpy()[:, 8:], 6, temperature=0)]
        for s in (session, again)
    ]
    np.testing.assert_array_equal(*written)
    for name, tensor in session.memory.tensors().items():
        assert torch.equal(tensor, again.memory.tensors()[name])


# --- inserted layers ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gated_delta", "jet"])
@torch.no_grad()
def test_what_is_inserted_changes_nothing_at_first(tiny_base, tokens, kind):
    base = tiny_base("llama")
    expected = base(tokens).logits
    model = insert(base, kind, (0, 2), heads=3, dim=5)
    assert model.depth == 6 and model.fast_weight_layers == (1, 4)
    assert model.range_of(1, 3) == (2, 5) and model.range_of(0, 4) == (0, 6)
    (wake, _) = read(model, batch_of(tokens, 1), SleepConfig(window=12, passes=1))
    torch.testing.assert_close(wake.logits, expected, **CLOSE)
    hidden, memory = model.blocks(model.embed(tokens), model.empty_memory(2))
    assert memory.fast_weights[1].shape == (2, 3, 5, 5) and memory.fast_weights[1].any()
    enlarged(model)
    assert (model.logits(model.blocks(model.embed(tokens), memory)[0]) - expected).abs().max() > 0.1


def test_only_what_was_inserted_has_to_learn(tiny_base, tokens):
    """Gradients of the new layers alone, through two sleeps of two passes.

    In float64, but for the norms of transformers, which compute in float32.
    """
    model = enlarged(insert(tiny_base("llama").double(), "gated_delta", (1,)))
    model.base.requires_grad_(False)
    sleep, batch = SleepConfig(window=4, passes=2), batch_of(tokens, 8)
    weight = model.inserted["1"].mixer.value.weight

    def loss():
        *_, wake, _ = read(model, batch, sleep)
        return wake.logits.square().mean()

    gradient = torch.autograd.grad(loss(), weight)[0]
    along, ends = gradient / gradient.norm(), []
    with torch.no_grad():
        for step in (1e-3, -2e-3):
            weight += step * along
            ends.append(loss())
    assert float(ends[0] - ends[1]) / 2e-3 == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_adapters_go_where_they_change_something(tiny_base, tokens):
    """In attention; not in Jet layers, whose projections have the same names."""
    retrofit = RetrofitConfig(base="tiny", insert="jet", after=(1,), train="lora")
    model = enlarged(retrofitted(tiny_base("jet_nemotron"), retrofit, seed=0))
    adapters = {n: p for n, p in model.named_parameters() if ".lora_B." in n}
    assert {name.split(".")[3] for name in adapters} == {"1", "2"}
    hidden, _ = model.blocks(model.embed(tokens), model.empty_memory(2))
    model.logits(hidden).square().mean().backward()
    assert all(adapter.grad.abs().max() > 0 for adapter in adapters.values())


def test_other_architectures_and_places_are_refused(tiny_base):
    from transformers import GPT2Config, GPT2LMHeadModel

    small = GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9, bos_token_id=0, eos_token_id=0)
    with pytest.raises(WorkbenchError, match="the architecture 'gpt2'; expected one of qwen3_5,"):
        Backbone(GPT2LMHeadModel(small))
    with pytest.raises(WorkbenchError, match="for block 4; expected blocks from 0 to 3"):
        insert(tiny_base("llama"), "gated_delta", (4,))
    with pytest.raises(WorkbenchError, match="kind 'attention' to insert; expected a fast-weight"):
        insert(tiny_base("llama"), "attention", (1,))
    for family, block in (("jet_nemotron", 0), ("ouro", 0)):
        with pytest.raises(WorkbenchError, match=f"replace = {block}, which is no block with att"):
            insert(tiny_base(family), "gated_delta", (), replace=(block,))
    with pytest.raises(WorkbenchError, match="writes of block 1; expected a fast-weight layer: 0,"):
        model = Backbone(tiny_base("qwen3_5"))
        model.writes(1, torch.zeros(1, 1, 16), model.empty_memory(1))
