"""Golden readings of `config.json`: files in the manner of the published models, old and new, and
what `transformers` makes of each.

    python tests/goldens/configs.py

`tests/goldens/configs.json` maps a name to

config   the file's content
expect   windows   of each layer, 0 for none
         scale, cap, logit_cap, eps, embedding_scale, activation
         tied, kv_heads, head_dim
         rope      for the first layer with a window and the first without, whichever there are:
                   `frequencies` [width / 2] and `factor`; `long` where there is a second set
"""

import importlib
import json
from pathlib import Path

import torch
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

FILE = Path(__file__).resolve().parent / "configs.json"
COMMON = {"bos_token_id": 1, "eos_token_id": 2, "use_cache": True, "initializer_range": 0.02}
LONG = [1.0 + 0.5 * i for i in range(48)]
SHORT = [1.0 + 0.01 * i for i in range(48)]


def config(architecture, model_type, layers, hidden, inner, heads, kv, vocabulary, **more):
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocabulary,
        **COMMON,
        **more,
    }


CONFIGS = {
    "llama-2": config(
        "LlamaForCausalLM", "llama", 4, 4096, 11008, 32, 32, 32000,
        hidden_act="silu", max_position_embeddings=4096, pretraining_tp=1, rms_norm_eps=1e-5,
        rope_scaling=None, tie_word_embeddings=False, torch_dtype="float16",
        transformers_version="4.32.0",
    ),
    "llama-3.2": config(
        "LlamaForCausalLM", "llama", 4, 2048, 8192, 32, 8, 128256,
        attention_bias=False, attention_dropout=0.0, head_dim=64, hidden_act="silu",
        max_position_embeddings=131072, mlp_bias=False, rms_norm_eps=1e-5,
        rope_scaling={
            "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3",
        },
        rope_theta=500000.0, tie_word_embeddings=True, torch_dtype="bfloat16",
    ),
    "mistral-0.1": config(
        "MistralForCausalLM", "mistral", 4, 4096, 14336, 32, 8, 32000,
        hidden_act="silu", max_position_embeddings=32768, rms_norm_eps=1e-5, rope_theta=10000.0,
        sliding_window=4096, tie_word_embeddings=False, torch_dtype="bfloat16",
    ),
    "mistral-nemo": config(
        "MistralForCausalLM", "mistral", 4, 5120, 14336, 32, 8, 131072,
        attention_dropout=0.0, head_dim=128, hidden_act="silu", max_position_embeddings=131072,
        rms_norm_eps=1e-5, rope_theta=1000000.0, sliding_window=None, tie_word_embeddings=False,
    ),
    "qwen2.5": config(
        "Qwen2ForCausalLM", "qwen2", 4, 3584, 18944, 28, 4, 152064,
        attention_dropout=0.0, hidden_act="silu", max_position_embeddings=32768,
        max_window_layers=28, rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=131072,
        tie_word_embeddings=False, use_sliding_window=False,
    ),
    "qwen2.5-yarn": config(
        "Qwen2ForCausalLM", "qwen2", 4, 896, 4864, 14, 2, 151936,
        hidden_act="silu", max_position_embeddings=32768, max_window_layers=2,
        rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=1024, use_sliding_window=True,
        rope_scaling={"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"},
        tie_word_embeddings=True,
    ),
    "qwen3": config(
        "Qwen3ForCausalLM", "qwen3", 4, 1024, 3072, 16, 8, 151936,
        attention_bias=False, attention_dropout=0.0, head_dim=128, hidden_act="silu",
        max_position_embeddings=40960, max_window_layers=28, rms_norm_eps=1e-6,
        rope_scaling=None, rope_theta=1000000, sliding_window=None, tie_word_embeddings=True,
        use_sliding_window=False,
    ),
    "gemma": config(
        "GemmaForCausalLM", "gemma", 4, 2048, 16384, 8, 1, 256000,
        attention_bias=False, attention_dropout=0.0, head_dim=256, hidden_act="gelu",
        max_position_embeddings=8192, rms_norm_eps=1e-6, rope_scaling=None, rope_theta=10000.0,
    ),
    "gemma-2": config(
        "Gemma2ForCausalLM", "gemma2", 4, 3584, 14336, 16, 8, 256000,
        attention_bias=False, attention_dropout=0.0, attn_logit_softcapping=50.0,
        cache_implementation="hybrid", final_logit_softcapping=30.0, head_dim=256,
        hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
        max_position_embeddings=8192, query_pre_attn_scalar=224, rms_norm_eps=1e-6,
        rope_theta=10000.0, sliding_window=4096,
    ),
    "gemma-3": config(
        "Gemma3ForCausalLM", "gemma3_text", 8, 1152, 6912, 4, 1, 262144,
        attention_bias=False, attention_dropout=0.0, attn_logit_softcapping=None,
        cache_implementation="hybrid", final_logit_softcapping=None, head_dim=256,
        hidden_activation="gelu_pytorch_tanh", max_position_embeddings=32768,
        query_pre_attn_scalar=256, rms_norm_eps=1e-6, rope_local_base_freq=10000,
        rope_scaling={"factor": 8.0, "rope_type": "linear"}, rope_theta=1000000,
        sliding_window=512, sliding_window_pattern=6,
    ),
    "phi-3": config(
        "Phi3ForCausalLM", "phi3", 4, 3072, 8192, 32, 32, 32064,
        attention_dropout=0.0, embd_pdrop=0.0, hidden_act="silu", max_position_embeddings=4096,
        original_max_position_embeddings=4096, resid_pdrop=0.0, rms_norm_eps=1e-5,
        rope_scaling=None, rope_theta=10000.0, sliding_window=2047, tie_word_embeddings=False,
        auto_map={"AutoConfig": "configuration_phi3.Phi3Config"},
    ),
    "phi-3.5": config(
        "Phi3ForCausalLM", "phi3", 4, 3072, 8192, 32, 32, 32064,
        attention_bias=False, attention_dropout=0.0, embd_pdrop=0.0, hidden_act="silu",
        max_position_embeddings=131072, original_max_position_embeddings=4096, resid_pdrop=0.0,
        rms_norm_eps=1e-5, rope_theta=10000.0, sliding_window=262144, tie_word_embeddings=False,
        rope_scaling={"long_factor": LONG, "short_factor": SHORT, "type": "longrope"},
    ),
    "phi-4-mini": config(
        "Phi3ForCausalLM", "phi3", 4, 3072, 8192, 24, 8, 200064,
        attention_bias=False, attention_dropout=0.0, embd_pdrop=0.0, full_attn_mod=1,
        hidden_act="silu", interpolate_factor=1, lm_head_bias=False,
        max_position_embeddings=131072, mlp_bias=False, original_max_position_embeddings=4096,
        partial_rotary_factor=0.75, resid_pdrop=0.0, rms_norm_eps=1e-5, rope_theta=10000.0,
        rope_scaling={"long_factor": LONG, "short_factor": SHORT, "type": "longrope"},
        sliding_window=262144, tie_word_embeddings=True,
    ),
}


def rope(config, kind, module):
    parameters = config.rope_parameters
    nested = kind in parameters
    own = parameters[kind] if nested else parameters
    name = own["rope_type"]
    keys = {"layer_type": kind} if nested else {}
    if name == "default":
        embedding = next(
            value for key, value in vars(module).items() if key.endswith("RotaryEmbedding")
        )
        frequencies, factor = embedding.compute_default_rope_parameters(config, **keys)
        return {"frequencies": frequencies.tolist(), "factor": factor}
    frequencies, factor = ROPE_INIT_FUNCTIONS[name](config, None, **keys)
    found = {"frequencies": frequencies.tolist(), "factor": factor}
    if name == "longrope":
        beyond = own["original_max_position_embeddings"] + 1
        found["long"] = ROPE_INIT_FUNCTIONS[name](config, None, seq_len=beyond)[0].tolist()
    return found


def expectation(raw):
    raw = dict(raw)
    config = AutoConfig.for_model(raw.pop("model_type"), **raw)
    kind = config.model_type
    module = importlib.import_module(f"transformers.models.{kind.split('_')[0]}.modeling_{kind.split('_')[0]}")
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    window = getattr(config, "sliding_window", None) or 0
    types = getattr(config, "layer_types", None) or (
        ["sliding_attention" if window else "full_attention"] * config.num_hidden_layers
    )
    gemma = kind.startswith("gemma")
    return {
        "windows": [window if t == "sliding_attention" else 0 for t in types],
        "scale": getattr(config, "query_pre_attn_scalar", head) ** -0.5,
        "cap": getattr(config, "attn_logit_softcapping", None) or 0,
        "logit_cap": getattr(config, "final_logit_softcapping", None) or 0,
        "eps": config.rms_norm_eps,
        "embedding_scale": config.hidden_size**0.5 if gemma else 1,
        "activation": getattr(config, "hidden_activation", None) or config.hidden_act,
        "tied": config.tie_word_embeddings,
        "kv_heads": config.num_key_value_heads,
        "head_dim": head,
        "rope": {t: rope(config, t, module) for t in sorted(set(types))},
    }


def main():
    golden = {name: {"config": c, "expect": expectation(c)} for name, c in CONFIGS.items()}
    FILE.write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")
    for name, one in golden.items():
        ropes = {k: (len(v["frequencies"]), v["factor"]) for k, v in one["expect"]["rope"].items()}
        print(name, one["expect"]["windows"], ropes)


if __name__ == "__main__":
    main()
