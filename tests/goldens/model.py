"""Golden files for the decoder: tiny random models of every family and what `transformers`
computes with them.

    python tests/goldens/model.py                # all models
    python tests/goldens/model.py llama-bias     # one of them

Each model becomes a Hugging Face folder `tests/goldens/model/<name>/` with two more files:

cases.json           token sequences by id, their greedy continuations one by one, and the greedy
                     continuations of all of them together as one left-padded batch
golden.safetensors   `<id>/logprobs`    [n-1]   natural log p(tokens[i+1] | tokens[0..i]); not
                                                there for a sequence of one token
                     `<id>/last_logits` [V]     logits after the last token
                     `<id>/hidden/<l>`  [n, d]  l = 0: embedding output; l >= 1: residual stream
                                                after block l, before the final norm

Everything is float32 on one thread with eager attention. Weights are drawn wide (standard deviation
0.1 to 0.4, norms around 1, biases not zero) so that no output is flat and every option matters.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent / "model"
LENGTHS = (1, 2, 7, 33, 80)
NEW_TOKENS = 16
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

# A seed is replaced where the greedy goldens would hang on two nearly equal logits.
SEEDS = {
    "llama-gqa": 1,
    "llama3-rope": 2,
    "llama-bias": 13,
    "llama-sharded": 4,
    "llama-legacy": 5,
    "mistral": 6,
    "qwen2": 7,
    "qwen2-yarn": 8,
    "qwen3": 9,
    "gemma": 10,
    "gemma2": 11,
    "gemma3": 12,
    "phi3": 20,
    "phi3-longrope": 30,
}

# name -> (config fields, save_pretrained options); the family is Llama where none is named
MODELS = {
    # Grouped-query attention, head of its own.
    "llama-gqa": (
        dict(
            vocab_size=97,
            hidden_size=32,
            intermediate_size=80,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
        ),
        {},
    ),
    # Rope scaling of Llama 3 with prompts beyond the original length, tied head. A head of 16 puts
    # wavelengths into all three of its ranges: kept, blended, divided.
    "llama3-rope": (
        dict(
            vocab_size=128,
            hidden_size=48,
            intermediate_size=72,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            rope_parameters={"rope_theta": 10000.0, **LLAMA3_ROPE},
        ),
        {},
    ),
    # Biases everywhere; four heads of 12 on a hidden size of 32; one key-value head.
    "llama-bias": (
        dict(
            vocab_size=101,
            hidden_size=32,
            intermediate_size=67,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=12,
            max_position_embeddings=128,
            attention_bias=True,
            mlp_bias=True,
        ),
        {},
    ),
    # Several files with an index; other rope base; an epsilon large enough to be seen.
    "llama-sharded": (
        dict(
            vocab_size=160,
            hidden_size=40,
            intermediate_size=56,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            rms_norm_eps=0.05,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        ),
        dict(max_shard_size="40KB"),
    ),
    # config.json in the style of most public checkpoints: see LEGACY_CONFIG.
    "llama-legacy": (
        dict(
            vocab_size=113,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=256,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_theta": 500000.0, **LLAMA3_ROPE},
        ),
        {},
    ),
    # A sliding window of 16 in every layer, far shorter than the prompts; head size of its own.
    "mistral": (
        dict(
            model_type="mistral",
            vocab_size=103,
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=12,
            max_position_embeddings=256,
            sliding_window=16,
        ),
        {},
    ),
    # Biases on q, k and v; tied head; windows from the second layer on.
    "qwen2": (
        dict(
            model_type="qwen2",
            vocab_size=109,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            use_sliding_window=True,
            sliding_window=20,
            max_window_layers=1,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        {},
    ),
    # YaRN, as Qwen 2.5 stretches its context; no windows.
    "qwen2-yarn": (
        dict(
            model_type="qwen2",
            vocab_size=89,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
        {},
    ),
    # Norms on queries and keys.
    "qwen3": (
        dict(
            model_type="qwen3",
            vocab_size=107,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=256,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        {},
    ),
    # Scaled embedding, gains of one plus the weight, tanh GELU.
    "gemma": (
        dict(
            model_type="gemma",
            vocab_size=101,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=256,
        ),
        {},
    ),
    # Caps low enough to bend, alternating windows, norms on both sides, a query scalar of its own.
    "gemma2": (
        dict(
            model_type="gemma2",
            vocab_size=113,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=256,
            sliding_window=16,
            query_pre_attn_scalar=24,
            attn_logit_softcapping=3.0,
            final_logit_softcapping=5.0,
        ),
        {},
    ),
    # Local and global rope, a pattern of three, scaling on the global layers alone.
    "gemma3": (
        dict(
            model_type="gemma3_text",
            vocab_size=97,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=5,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=256,
            sliding_window=12,
            sliding_window_pattern=3,
            query_pre_attn_scalar=20,
            rope_parameters={
                "full_attention": {
                    "rope_type": "linear",
                    "rope_theta": 1000000.0,
                    "factor": 8.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        ),
        {},
    ),
    # Fused projections, rope on three quarters of a head, a window.
    "phi3": (
        dict(
            model_type="phi3",
            vocab_size=105,
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            original_max_position_embeddings=256,
            sliding_window=24,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.75,
            },
        ),
        {},
    ),
    # LongRoPE with an original length of 40 between the prompts, tied head as in Phi-4-mini.
    "phi3-longrope": (
        dict(
            model_type="phi3",
            vocab_size=99,
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=160,
            original_max_position_embeddings=40,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 1.0,
                "short_factor": [1.0, 1.1, 1.2, 1.3],
                "long_factor": [1.0, 1.8, 2.5, 4.0],
            },
        ),
        {},
    ),
}

# What `transformers` 4 wrote: rope_theta and rope_scaling beside each other, torch_dtype, and no
# key that has its default (here: key-value heads, head_dim, biases).
LEGACY_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
    "model_type": "llama",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": LLAMA3_ROPE,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "transformers_version": "4.46.0",
    "use_cache": True,
    "vocab_size": 113,
}


def randomize(model, generator):
    """Draws all weights anew: matrices scaled by their fan-in, norms around 1, biases not zero."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            plus_one = model.config.model_type.startswith("gemma")
            value = (0.0 if plus_one else 1.0) + 0.2 * noise
        elif name.endswith("bias"):
            value = 0.3 * noise
        elif "embed" in name or "lm_head" in name:
            value = 0.4 * noise
        else:
            value = 1.2 * noise / parameter.shape[1] ** 0.5
        parameter.data.copy_(value)


def build(name, folder):
    """Writes the Hugging Face folder of one model."""
    fields, saving = MODELS[name]
    torch.manual_seed(0)
    fields = dict({"model_type": "llama"}, **fields)
    config = AutoConfig.for_model(pad_token_id=0, bos_token_id=1, eos_token_id=2, **fields)
    model = AutoModelForCausalLM.from_config(config)
    randomize(model, torch.Generator().manual_seed(SEEDS[name]))
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **saving)
    if name == "llama-legacy":
        (folder / "config.json").write_text(json.dumps(LEGACY_CONFIG, indent=2) + "\n")
        (folder / "generation_config.json").unlink()


def trace(model, tokens):
    """The golden tensors of one sequence."""
    hidden = []
    hooks = [model.model.embed_tokens.register_forward_hook(lambda m, i, o: hidden.append(o[0]))]
    for layer in model.model.layers:
        hooks.append(layer.register_forward_hook(lambda m, i, o: hidden.append(o[0])))
    logits = model(torch.tensor([tokens]), use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    golden = {"last_logits": logits[-1]}
    if len(tokens) > 1:
        following = torch.tensor(tokens[1:])[:, None]
        golden["logprobs"] = logits[:-1].log_softmax(-1).gather(1, following)[:, 0]
    golden.update({f"hidden/{i}": h for i, h in enumerate(hidden)})
    return golden


def greedy(model, sequences):
    """Greedy continuations of one left-padded batch, end-of-sequence ignored, and the smallest
    distance between the best and the second logit on the way."""
    width = max(map(len, sequences))
    ids = torch.tensor([[0] * (width - len(s)) + s for s in sequences])
    mask = torch.tensor([[0] * (width - len(s)) + [1] * len(s) for s in sequences])
    # transformers 5.18 keeps the keys of the short frequencies in its cache when LongRoPE switches
    # to the long ones; without a cache it computes what the model means.
    rope = model.config.rope_parameters.get("rope_type")
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0, use_cache=rope != "longrope"
    )
    out = model.generate(ids, attention_mask=mask, output_logits=True, return_dict_in_generate=True)
    new = out.sequences[:, width:]
    assert new.shape == (len(sequences), NEW_TOKENS)
    best = torch.stack(out.logits).topk(2).values
    return new.tolist(), (best[..., 0] - best[..., 1]).min().item()


def goldens(name, folder):
    """Loads the folder as a user would and writes cases.json and golden.safetensors."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    generator = torch.Generator().manual_seed(7)
    vocab = model.config.vocab_size
    sequences = {
        f"n{n}": torch.randint(4, vocab, (n,), generator=generator).tolist() for n in LENGTHS
    }
    tensors, cases, margins = {}, [], []
    for key, tokens in sequences.items():
        for part, tensor in trace(model, tokens).items():
            tensors[f"{key}/{part}"] = tensor.contiguous().clone()
        continuation, margin = greedy(model, [tokens])
        margins.append(margin)
        cases.append({"id": key, "tokens": tokens, "greedy": continuation[0]})
    batch, margin = greedy(model, list(sequences.values()))
    margins.append(margin)
    if min(margins) < 2e-3:
        raise SystemExit(f"{name}: two logits only {min(margins)} apart; choose another seed")
    save_file(tensors, folder / "golden.safetensors")
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    padded = ",\n".join("    " + json.dumps(row) for row in batch)
    (folder / "cases.json").write_text(
        f'{{\n  "new_tokens": {NEW_TOKENS},\n  "cases": [\n{lines}\n  ],\n'
        f'  "batch_greedy": [\n{padded}\n  ]\n}}\n'
    )
    spread = tensors["n80/logprobs"]
    print(
        f"{name}: {sum(p.numel() for p in model.parameters())} parameters, "
        f"logprobs {spread.min():.1f} .. {spread.max():.1f}, margin {min(margins):.4f}, "
        f"batch equals single: {batch == [c['greedy'] for c in cases]}"
    )


def main(names):
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in names or MODELS:
        folder = ROOT / name
        build(name, folder)
        with torch.no_grad():
            goldens(name, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
