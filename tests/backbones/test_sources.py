"""Folders of transformers, GGUF files and Hub ids: loaded, or refused in one line."""

import json
import re
import shutil
import sys
import types

import gguf
import numpy as np
import pytest
import torch
from house import sources
from safetensors.torch import load_file, save_file
from tiny import trained_tokenizer
from tiny_backbones import OURS, configured, own_config

import workbench
from workbench.backbones import loading
from workbench.backbones.backbone import Backbone
from workbench.backbones.sources import find_source, is_pretrained
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.training.places import find_checkpoint

TEXT = "Señor Ormuz has 3 apples and 4 pears."
CARD = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n"


@pytest.fixture(scope="module")
def whole(tiny_base, tmp_path_factory):
    """A folder of transformers in two shards, with tokenizer and card; and its model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    base = tiny_base("llama", 420)
    base.save_pretrained(folder, max_shard_size="30kB")
    trained_tokenizer(folder / "tokenizer.json")
    (folder / "README.md").write_text(CARD)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder, base


@pytest.fixture
def folder(whole, tmp_path):
    """A copy that a test may damage; no weights are read there."""
    return shutil.copytree(whole[0], tmp_path / "tiny")


@pytest.fixture(scope="module", params=OURS)
def own(request, tiny_base, whole, tmp_path_factory):
    """A folder of one of our own decoders in two shards, and its model."""
    family = request.param
    folder, base = tmp_path_factory.mktemp(family) / family, tiny_base(family, 420)
    folder.mkdir()
    weights = {
        n: w for n, w in base.state_dict().items() if family == "ouro" or n != "lm_head.weight"
    }
    names, index = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)], {}
    for name, part in zip(names, (sorted(weights)[:9], sorted(weights)[9:]), strict=True):
        save_file({n: weights[n] for n in part}, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text(json.dumps(own_config(family, 420)))
    for name in ("tokenizer.json", "README.md"):
        shutil.copy(whole[0] / name, folder)
    return folder, base


@pytest.fixture
def own_folder(own, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(own[0], tmp_path / "tiny")


@pytest.fixture
def nothing_loaded(monkeypatch):
    def loads(*_):
        raise AssertionError("weights were read")

    monkeypatch.setattr(loading, "_weights", loads)
    monkeypatch.setattr(loading, "read_decoder", loads)


def test_a_folder_loads_as_it_was_saved(whole, capsys):
    folder, base = whole
    found = workbench.load(folder)
    told = capsys.readouterr().err.splitlines()[0]
    parameters = sum(p.numel() for p in base.parameters())
    assert f"tiny: llama, 0.0 M parameters; needs {parameters / 256:.1f} kB in float32," in told
    assert told.endswith("free; licence: apache-2.0")
    assert found.source.parameters == parameters
    tokens = torch.as_tensor(found.text.encode(TEXT))[None]
    hidden, _ = found.model.blocks(found.model.embed(tokens), found.model.empty_memory(1))
    with torch.no_grad():
        assert torch.equal(found.model.logits(hidden), base(tokens).logits)
    assert not found.model.training and not any(p.requires_grad for p in found.model.parameters())
    half = workbench.load(folder, dtype="bfloat16").model
    assert half.embed(tokens).dtype == torch.bfloat16
    assert half.empty_memory(1).nbytes == 0


def test_text_comes_back_in_pieces_of_whole_characters(whole):
    text = workbench.load(whole[0]).text
    tokens = text.encode(TEXT)
    assert text.decode(tokens) == TEXT
    write = text.writer()
    pieces = [write(token) for token in tokens]
    assert "".join(pieces) == TEXT and "" in pieces
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def cut(folder):
    path = sorted(folder.glob("model-*.safetensors"))[-1]
    path.write_bytes(path.read_bytes()[:-7])


def beheaded(folder):
    path = sorted(folder.glob("model-*.safetensors"))[0]
    path.write_bytes(path.read_bytes()[:40])


def lacking(name):
    return lambda folder: next(folder.glob(name)).unlink()


def another(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


DAMAGED = pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, r"model-\S+ cannot be read \(it has [\d,]+ of [\d,]+ bytes\); expected a whole file"),
        (beheaded, r"cannot be read \(its header is incomplete\)"),
        (lacking("model-00002*"), r"tiny lacks model-00002-of-\d+\.safetensors; expected its wei"),
        (lacking("tokenizer.json"), r"tiny has no tokenizer; expected a tokenizer\.json"),
        (lacking("config.json"), r"tiny has no config\.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), r"no tokenizer that can be read \("),
        (lambda f: another(f, model_type="gpt2"), r"the architecture 'gpt2'; expected one of qwen"),
        (lambda f: another(f, model_type=None), r"names no model_type"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), r"tiny names weights elsewhere"),
        (lambda f: another(f, transformers_weights="x"), r"tiny names weights elsewhere"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"x"),
            r"model\.safetensors cannot be rea",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text("[]"),
            r"lists no files of weights",
        ),
        (
            lambda f: another(f, num_hidden_layers=10**6),
            r"num_hidden_layers = 1,000,000; expected at most the \d+ tensors of its weights",
        ),
    ],
)


@DAMAGED
def test_what_is_wrong_is_one_line(folder, nothing_loaded, damage, said):
    refused(folder, damage, said)


@DAMAGED
def test_what_is_wrong_with_our_own_decoders_is_one_line(own_folder, nothing_loaded, damage, said):
    refused(own_folder, damage, said)


def refused(folder, damage, said):
    damage(folder)
    with pytest.raises(WorkbenchError, match=said) as found:
        workbench.load(folder)
    assert "\n" not in str(found.value)


def test_one_of_our_own_decoders_loads_as_it_was_saved(own, capsys):
    folder, base = own
    found = workbench.load(folder)
    told = capsys.readouterr().err
    assert ("apache-2.0 (its authors allow research only" in told) == (folder.name != "ouro")
    tokens = torch.as_tensor(found.text.encode(TEXT))[None]
    assert loading.configuration_of(found.source) == base.config
    expected, model = Backbone(base), found.model
    for name, weight in base.state_dict().items():
        assert torch.equal(model.base.state_dict()[name], weight)
    hidden, _ = model.blocks(model.embed(tokens), model.empty_memory(1))
    with torch.no_grad():
        before, _ = expected.blocks(expected.embed(tokens), expected.empty_memory(1))
        assert torch.equal(model.logits(hidden), expected.logits(before))
    head, embedding = model.base.lm_head.weight, model.base.model.embed_tokens.weight
    assert (head is embedding) == (folder.name != "ouro")
    half = workbench.load(folder, dtype="bfloat16").model
    hidden, memory = half.blocks(half.embed(tokens), half.empty_memory(1))
    assert half.logits(hidden).dtype == torch.bfloat16 and torch.isfinite(hidden).all()
    assert all(s.dtype == torch.float32 for s in memory.fast_weights.values())


def with_weight(folder, change):
    path = sorted(folder.glob("model-*.safetensors"))[0]
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: with_weight(f, lambda w: w.popitem()), r"tiny lacks \S+ and 0 more weights"),
        (lambda f: with_weight(f, lambda w: w.update(x=torch.ones(1))), r"also has x and 0 more"),
        (
            lambda f: with_weight(f, lambda w: next(iter(w.values())).fill_(torch.nan)),
            r"tiny has NaN or infinite values in \S+weight;",
        ),
        (
            lambda f: another(f, intermediate_size=25),
            r"tiny has model\.\S+ of shape \(\d+, \d+\); expected \(\d+, \d+\), as config\.json",
        ),
        (lambda f: another(f, hidden_act="gelu"), r"json: hidden_act = 'gelu'; expected 'silu'"),
        (lambda f: another(f, rope_scaling={"factor": 2}), r"config\.json: rope_scaling = "),
        (lambda f: another(f, num_hidden_layers="x"), r"json: num_hidden_layers = 'x'; expe"),
        (lambda f: another(f, num_key_value_heads=3), r"make num_attention_heads a multiple"),
    ],
)  # fmt: skip
def test_other_weights_and_settings_of_our_own_decoders_are_one_line(own_folder, damage, said):
    refused(own_folder, damage, said)


def test_layers_of_jet_nemotron_need_their_kinds(own_folder):
    config = json.loads((own_folder / "config.json").read_text())
    if efficient := config.get("efficient_attention_config"):
        refused(own_folder, lambda f: another(f, layer_types=["jet"]), "name one of layer_types")
        efficient.pop("swa")
        changes = {"layer_types": ["swa"] * 4, "efficient_attention_config": efficient}
        refused(own_folder, lambda f: another(f, **changes), "add swa to efficient_attention_conf")


def test_too_little_memory_is_refused_before_anything_is_read(whole, nothing_loaded, monkeypatch):
    monkeypatch.setattr(loading, "available_memory", lambda: 50_000)
    with pytest.raises(WorkbenchError, match=r"tiny needs at least 83\.1 kB of memory; expected"):
        workbench.load(whole[0])


def test_other_settings_are_refused(whole):
    with pytest.raises(WorkbenchError, match="dtype = 'int8'; expected one of float32, bfloat16"):
        workbench.load(whole[0], dtype="int8")
    with pytest.raises(WorkbenchError, match="'bfloat16' for a checkpoint; expected 'float32'"):
        workbench.load("depo-n8-any", dtype="bfloat16")


def test_a_weight_that_no_shard_has_is_named(folder):
    another(folder, num_hidden_layers=5)
    with pytest.raises(WorkbenchError, match=r"lacks model\.layers\.4\.\S+ and 8 more weights"):
        workbench.load(folder)


def test_weights_beyond_the_configuration_are_named(folder):
    another(folder, num_hidden_layers=2)
    with pytest.raises(WorkbenchError, match=r"also has model\.layers\.2\.\S+ and 17 more weights"):
        workbench.load(folder)


def test_weights_that_are_not_finite_are_refused(whole, folder):
    path = sorted(folder.glob("model-*.safetensors"))[0]
    weights = load_file(path)
    next(iter(weights.values()))[0] = torch.nan
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(WorkbenchError, match="has NaN or infinite values in model"):
        workbench.load(folder)


def test_a_configuration_that_no_model_has_is_one_line(folder):
    another(folder, num_hidden_layers="x")
    with pytest.raises(WorkbenchError, match="tiny cannot be loaded \\(") as refused:
        workbench.load(folder)
    assert "\n" not in str(refused.value)


def test_a_name_that_is_too_long_for_a_path_is_one_line():
    with pytest.raises(WorkbenchError, match=r"is not a path \(.+\); expected a name, a folder, a"):
        workbench.load("a" * 300)


def test_a_bundled_name_is_that_checkpoint_whatever_a_folder_is_called(folder, monkeypatch):
    shutil.copytree(folder, folder.parent / "depo-n8-any")
    monkeypatch.chdir(folder.parent)
    assert find_checkpoint("depo-n8-any").parent.name == "checkpoints"
    assert not is_pretrained("depo-n8-any") and is_pretrained("./depo-n8-any")


def test_the_command_line_prints_it_and_ends_with_2(whole, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["eval", str(whole[0])])
    assert stopped.value.code == 2
    assert re.fullmatch(r"workbench: \S+ is a pretrained model; .+\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("card", "licence", "found"),
    [
        (CARD, None, "apache-2.0"),
        ("---\nlicense: other\nlicense_name: research\n---\n", None, "research"),
        ("# No header\nlicense: mit\n", "\nMIT License\n\nText", "LICENSE, which begins 'MIT Lice"),
        ("# No header\n", None, "None"),
    ],
)
def test_the_licence_is_what_the_folder_says(folder, card, licence, found):
    (folder / "README.md").write_text(card)
    if licence:
        (folder / "LICENSE").write_text(licence)
    source = find_source(folder)
    assert str(source.licence).startswith(found)
    assert ("none found; ask the authors" in source.describe("float32", 10**9)) == (found == "None")


def test_the_text_part_of_a_model_that_also_sees(tmp_path, whole):
    """Checkpoints of Qwen3.5 hold an image tower: it is neither read nor counted."""
    import transformers.models.qwen3_5 as qwen

    text = configured("qwen3_5", 420)
    small = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    vision = small | {"out_hidden_size": 16, "num_position_embeddings": 16}
    config = qwen.Qwen3_5Config(text_config=text.to_dict(), vision_config=vision)
    seeing = qwen.Qwen3_5ForConditionalGeneration(config).eval()
    seeing.save_pretrained(tmp_path / "seeing")
    shutil.copy(whole[0] / "tokenizer.json", tmp_path / "seeing")
    found = workbench.load(tmp_path / "seeing")
    images = sum(p.numel() for p in seeing.model.visual.parameters())
    total = sum(p.numel() for p in seeing.parameters())
    assert found.source.parameters == total - images
    tokens = torch.arange(9)[None]
    hidden, _ = found.model.blocks(found.model.embed(tokens), found.model.empty_memory(1))
    with torch.no_grad():
        expected = seeing(input_ids=tokens).logits
    torch.testing.assert_close(found.model.logits(hidden), expected, rtol=0, atol=1e-5)


# --- GGUF -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gguf_file(whole, tmp_path_factory):
    """The same model as a GGUF file in float32."""
    folder, base = whole
    config, weights = base.config, base.state_dict()
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    file = gguf.GGUFWriter(path, "llama")
    file.add_license("mit")
    file.add_block_count(config.num_hidden_layers)
    file.add_context_length(config.max_position_embeddings)
    file.add_embedding_length(config.hidden_size)
    file.add_feed_forward_length(config.intermediate_size)
    file.add_head_count(config.num_attention_heads)
    file.add_head_count_kv(config.num_key_value_heads)
    file.add_rope_dimension_count(4)
    file.add_rope_freq_base(config.rope_parameters["rope_theta"])
    file.add_layer_norm_rms_eps(config.rms_norm_eps)
    file.add_vocab_size(config.vocab_size)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())["model"]
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("default")
    file.add_token_list(sorted(tokenizer["vocab"], key=tokenizer["vocab"].get))
    file.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    file.add_bos_token_id(0)
    file.add_eos_token_id(0)
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "model.layers": "blk", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, weight in weights.items():
        array = weight.numpy()
        for theirs, short in (("q_proj", "attention"), ("k_proj", "key_value")):
            if theirs in name:  # llama.cpp rotates neighbours, so that halves are interleaved
                heads = getattr(config, f"num_{short}_heads")
                split = array.reshape(heads, 2, -1, array.shape[-1])
                array = split.swapaxes(1, 2).reshape(array.shape)
        for theirs, short in names.items():
            name = name.replace(theirs, short)
        file.add_tensor(name, np.ascontiguousarray(array))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def test_a_gguf_file_loads_with_the_tokenizer_inside(gguf_file, whole, capsys, monkeypatch):
    parsed = []

    class Counted(gguf.GGUFReader):
        def __init__(self, path):
            parsed.append(path)
            super().__init__(path)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    found = workbench.load(gguf_file)
    assert len(parsed) == 1 and gguf.GGUFReader is Counted
    assert "licence: mit" in capsys.readouterr().err
    assert found.source.needs("float32") == 2 * 4 * found.source.parameters
    tokens = found.text.encode(TEXT)
    np.testing.assert_array_equal(tokens, workbench.load(whole[0]).text.encode(TEXT))
    batch = torch.as_tensor(tokens)[None]
    hidden, _ = found.model.blocks(found.model.embed(batch), found.model.empty_memory(1))
    with torch.no_grad():
        expected = whole[1](batch).logits
    torch.testing.assert_close(found.model.logits(hidden), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "said"), [(3, "does not begin as"), (200, ""), (-200, "")])
def test_a_truncated_gguf_file_is_one_line(gguf_file, tmp_path, nothing_loaded, size, said):
    short = tmp_path / "short.gguf"
    short.write_bytes(gguf_file.read_bytes()[:size])
    with pytest.raises(WorkbenchError, match=rf"short\.gguf cannot be read \(.*{said}.*\); exp"):
        workbench.load(short)


def test_what_was_not_fetched_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path))
    with pytest.raises(WorkbenchError, match="smollm2-135m is not at .*run `workbench get smollm2"):
        workbench.load("smollm2-135m")


# --- the Hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """A Hub whose repository is a folder; returns what was asked for."""
    asked = []

    def make(folder):
        def snapshot_download(repository, allow_patterns):
            asked.append(allow_patterns)
            if folder is None:
                raise ConnectionError("no route\nto host")
            return str(folder)

        client = types.SimpleNamespace(snapshot_download=snapshot_download)
        monkeypatch.setitem(sys.modules, "huggingface_hub", client)
        return asked

    return make


def test_a_hub_id_fetches_the_weights_last(folder, hub, nothing_loaded):
    asked = hub(folder)
    with pytest.raises(AssertionError, match="weights were read"):
        workbench.load("hf://someone/tiny")
    weights = [any(name.endswith(".safetensors") for name in names) for names in asked]
    assert weights == [False, False, True]
    another(folder, model_type="gpt2")
    with pytest.raises(WorkbenchError, match="hf://someone/tiny is a model of the architecture 'g"):
        workbench.load("hf://someone/tiny")
    assert len(asked) == 5


def test_without_a_network_a_hub_id_is_one_line(hub):
    hub(None)
    with pytest.raises(WorkbenchError, match=r"tiny cannot be fetched \(ConnectionError: no rou"):
        workbench.load("hf://someone/tiny")


def test_transformers_is_imported_inside_functions_alone():
    found = {"transformers", "gguf", "peft", "accelerate"}
    for source in sources():
        if source.room.startswith("workbench"):
            for node in source.tree.body:
                names = [getattr(node, "module", None) or ""]
                names += [getattr(alias, "name", "") for alias in getattr(node, "names", [])]
                assert found.isdisjoint(str(n).split(".")[0] for n in names), source.module
