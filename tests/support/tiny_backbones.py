"""Tiny pretrained models: configurations, files as far as their headers, slow forwards."""

import json
from pathlib import Path

HYBRIDS = ("qwen3_5", "qwen3_next", "olmo_hybrid")
LIKE_LLAMA = ("llama", "mistral", "qwen3")
OURS = ("jet_nemotron", "ouro")

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"] * 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 6,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8,
    "experts_implementation": "eager",
}
ROPE = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}


OWN = {name: SIZES[name] for name in list(SIZES)[:5]} | {"rope_theta": 1e4, "hidden_act": "silu"}
JET = {
    "num_heads": 3,
    "head_dim": 4,
    "expand_v": 1.5,
    "conv_size": 4,
    "dconv_generator_reduction": 2,
    "norm_eps": "1e-5",
}


def own_config(family, vocabulary):
    """Return what ``config.json`` of one of our own decoders says."""
    config = OWN | {"model_type": family, "vocab_size": vocabulary}
    if family == "ouro":
        return config | {"head_dim": 6, "total_ut_steps": 4, "tie_word_embeddings": False}
    efficient = {"jet": JET, "swa": {"window_size": 5}}
    kinds = {"layer_types": ["jet", "attn", "swa", "jet"], "tie_word_embeddings": True}
    return config | kinds | {"efficient_attention_config": efficient}


def own_decoder(family, vocabulary):
    """Return one of our own decoders with random weights."""
    import torch

    from workbench.backbones.families import FAMILIES

    kind = FAMILIES[family].ours
    with torch.device("meta"):
        model = kind(kind.settings.model_validate(own_config(family, vocabulary)))
    generator, weights = torch.Generator().manual_seed(0), {}
    for name, weight in model.state_dict().items():
        drawn = torch.randn(weight.shape, generator=generator)
        weights[name] = 1 + 0.15 * drawn if "norm" in name else 0.25 * drawn
    model.load_state_dict(weights, assign=True)
    model.tie()
    return model.eval()


def configured(family, vocabulary):
    """Return a tiny configuration of a family."""
    import transformers
    from transformers.models.qwen3_5 import Qwen3_5TextConfig

    sizes = SIZES | {"vocab_size": vocabulary}
    wide = sizes | LINEAR | {"head_dim": 8}
    match family:
        case "qwen3_5":
            return Qwen3_5TextConfig(**wide, rope_parameters=ROPE | {"mrope_section": [1, 1, 0]})
        case "qwen3_next":
            return transformers.Qwen3NextConfig(**wide, **EXPERTS)
        case "olmo_hybrid":
            return transformers.OlmoHybridConfig(**sizes, **LINEAR)
        case "mistral":
            return transformers.MistralConfig(**sizes, sliding_window=5)
        case "qwen3":
            return transformers.Qwen3Config(**sizes, head_dim=8)
    return transformers.LlamaConfig(**sizes)


def make_pretrained(folder: Path) -> Path:
    """Write the folder of a pretrained model, as far as it is read before the weights."""
    import numpy as np
    from safetensors.numpy import save_file

    path = folder / "model"
    path.mkdir()
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name in names:
        save_file({name: np.zeros((4, 3), np.float32)}, path / name)
    index = {"weight_map": {name: name for name in names}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (path / "tokenizer.json").write_text("{}")
    (path / "README.md").write_text("---\nlicense: mit\n---\n")
    return path


def make_gguf(folder: Path) -> Path:
    """Write a GGUF file of one tensor and three tokens."""
    import numpy as np
    from gguf import GGUFWriter

    file = GGUFWriter(folder / "model.gguf", "llama")
    file.add_license("mit")
    file.add_tokenizer_model("gpt2")
    file.add_token_list(["a", "b", "c"])
    file.add_tensor("w", np.zeros((4, 32), np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return folder / "model.gguf"


def headers_of(path: Path) -> str:
    """Return what is read of a pretrained model before its weights."""
    from workbench.backbones.sources import find_source

    found = find_source(path)
    return repr((found.architecture, found.parameters, found.describe("float32", 1)))


# --- our own decoders from their published descriptions, in loops and float64 ---------------------


def slow_logits(base, tokens, loops=1):
    """Return the logits ``[batch, token, symbol]`` of a whole sequence, read `loops` times."""
    import torch

    weights = {name: weight.detach().double() for name, weight in base.state_dict().items()}
    raw = own_config(base.config.model_type, base.config.vocab_size)
    hidden = weights["model.embed_tokens.weight"][tokens]
    for _ in range(loops):
        for i in range(raw["num_hidden_layers"]):
            start = f"model.layers.{i}."
            own = {n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)}
            kind = raw.get("layer_types", ["attn"] * 4)[i]
            mixer = _slow_jet if kind == "jet" else _slow_attention
            window = 5 if kind == "swa" else len(tokens[0])
            mixed = torch.stack([mixer(own, row, window) for row in _norm(hidden, own, "input_")])
            after = "input_layernorm_2.weight" in own
            hidden = hidden + (_norm(mixed, own, "input_", "_2") if after else mixed)
            normed = _norm(hidden, own, "post_attention_")
            inner = _silu(normed @ own["mlp.gate_proj.weight"].T) * (
                normed @ own["mlp.up_proj.weight"].T
            )
            mixed = inner @ own["mlp.down_proj.weight"].T
            hidden = hidden + (_norm(mixed, own, "post_attention_", "_2") if after else mixed)
        hidden = _rms(hidden, weights["model.norm.weight"], 1e-6)
    return (hidden @ weights["lm_head.weight"].T).to(base.lm_head.weight.dtype)


def _silu(x):
    return x / (1 + (-x).exp())


def _rms(x, weight, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def _norm(x, own, which, number=""):
    return _rms(x, own[f"{which}layernorm{number}.weight"], 1e-6)


def _projected(own, x, name):
    y = x @ own[f"self_attn.{name}_proj.weight"].T
    return y + own.get(f"self_attn.{name}_proj.bias", 0)


def _slow_attention(own, x, window):
    """Four heads of queries share two of keys; RoPE turns channel j with j + half."""
    import torch

    def turned(y, t):
        half = y.shape[-1] // 2
        out = y.clone()
        for j in range(half):
            angle = torch.tensor(t * 1e4 ** (-j / half), dtype=torch.float64)
            a, b = y[j], y[j + half]
            out[j] = a * angle.cos() - b * angle.sin()
            out[j + half] = a * angle.sin() + b * angle.cos()
        return out

    q = _projected(own, x, "q").unflatten(-1, (4, -1))
    k, v = (_projected(own, x, name).unflatten(-1, (2, -1)) for name in "kv")
    out = torch.zeros_like(q)
    for t in range(len(x)):
        seen = range(max(t - window + 1, 0), t + 1)
        for head in range(4):
            query = turned(q[t, head], t)
            scores = torch.stack([query @ turned(k[s, head // 2], s) for s in seen])
            shares = (scores / q.shape[-1] ** 0.5).softmax(0)
            for share, s in zip(shares, seen, strict=True):
                out[t, head] += share * v[s, head // 2]
    return _projected(own, out.flatten(1), "o")


def _slow_jet(own, x, _):
    """The JetBlock of arXiv 2508.15884, section 3.2, with three heads of 4 keys and 6 values."""
    import torch

    def heads(y):
        return y.unflatten(-1, (3, -1))

    generator = "self_attn.dynamic_conv1d.kernel_generator"
    taps = _silu(x @ own[f"{generator}.w1.weight"].T) @ own[f"{generator}.w2.weight"].T
    taps = (taps + own[f"{generator}.w2.bias"]).unflatten(-1, (-1, 4))
    raw = _projected(own, x, "v")
    v = torch.zeros_like(raw)
    for t in range(len(x)):
        for tap in range(4):
            if t - 3 + tap >= 0:
                v[t] += taps[t, :, tap] * raw[t - 3 + tap]
    q, k = (heads(_silu(_projected(own, x, name))) for name in "qk")
    v, gate = heads(_silu(v)), heads(_projected(own, x, "g"))
    step = (1 + (_projected(own, x, "a") + own["self_attn.dt_bias"]).exp()).log()
    decay = (-own["self_attn.A_log"].exp() * step).exp()
    strength = 1 / (1 + (-_projected(own, x, "b")).exp())
    out = torch.zeros_like(gate)
    for head in range(3):
        state = torch.zeros(4, 6, dtype=torch.float64)
        for t in range(len(x)):
            key = k[t, head] / (k[t, head] @ k[t, head] + 1e-6).sqrt()
            query = q[t, head] / (q[t, head] @ q[t, head] + 1e-6).sqrt()
            state = decay[t, head] * state
            error = v[t, head] - state.T @ key
            state = state + strength[t, head] * torch.outer(key, error)
            read = state.T @ query / 4**0.5
            out[t, head] = _rms(read, own["self_attn.o_norm.weight"], 1e-5) * _silu(gate[t, head])
    return _projected(own, out.flatten(1), "o")
