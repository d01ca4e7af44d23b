"""Tiny models of transformers: configurations by family, and files as far as their headers."""

import json
from pathlib import Path

HYBRIDS = ("qwen3_5", "qwen3_next", "olmo_hybrid")
LIKE_LLAMA = ("llama", "mistral", "qwen3")

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
