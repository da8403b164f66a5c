"""Checks the goldens of the Llama models against a second implementation: Llama in plain NumPy, double
precision, one loop a layer, reading `config.json` and the shards itself.

    python tests/goldens/check_model.py

Prints the largest difference a model and ends with exit code 1 where one exceeds 1e-4.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent / "model"


def inverse_frequencies(config, head):
    """Rope frequencies, new-style (`rope_parameters`) or old-style (`rope_theta`, `rope_scaling`),
    plain or with the scaling of Llama 3."""
    rope = config.get("rope_parameters") or {
        "rope_theta": config["rope_theta"],
        **(config.get("rope_scaling") or {}),
    }
    frequencies = 1.0 / rope["rope_theta"] ** (np.arange(0, head, 2) / head)
    if rope.get("rope_type", "default") == "default":
        return frequencies
    assert rope["rope_type"] == "llama3"
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    for i, frequency in enumerate(frequencies):
        turns = rope["original_max_position_embeddings"] * frequency / (2 * math.pi)
        keep = min(1.0, max(0.0, (turns - low) / (high - low)))
        frequencies[i] = frequency * (keep + (1 - keep) / rope["factor"])
    return frequencies


class Llama:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = {}
        for shard in folder.glob("model*.safetensors"):
            self.weights.update({k: v.astype(np.float64) for k, v in load_file(shard).items()})

    def linear(self, x, name):
        y = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        return y if bias is None else y + bias

    def norm(self, x, name):
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / scale * self.weights[f"{name}.weight"]

    def attention(self, x, name):
        heads = self.config["num_attention_heads"]
        kv_heads = self.config.get("num_key_value_heads") or heads
        head = self.config.get("head_dim") or self.config["hidden_size"] // heads
        n = len(x)
        angles = np.arange(n)[:, None] * inverse_frequencies(self.config, head)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]

        def rotate(y):
            a, b = y[..., : head // 2], y[..., head // 2 :]
            return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

        q = rotate(self.linear(x, f"{name}.q_proj").reshape(n, heads, head))
        k = rotate(self.linear(x, f"{name}.k_proj").reshape(n, kv_heads, head))
        v = self.linear(x, f"{name}.v_proj").reshape(n, kv_heads, head)
        out = np.empty_like(q)
        for h in range(heads):
            g = h // (heads // kv_heads)
            scores = q[:, h] @ k[:, g].T / math.sqrt(head)
            scores[np.triu_indices(n, 1)] = -np.inf
            p = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, h] = p / p.sum(-1, keepdims=True) @ v[:, g]
        return self.linear(out.reshape(n, heads * head), f"{name}.o_proj")

    def mlp(self, x, name):
        gate = self.linear(x, f"{name}.gate_proj")
        return self.linear(
            gate / (1 + np.exp(-gate)) * self.linear(x, f"{name}.up_proj"), f"{name}.down_proj"
        )

    def forward(self, tokens):
        """Logits `[n, V]` and the hidden states of all layers."""
        x = self.weights["model.embed_tokens.weight"][tokens]
        hidden = [x]
        for i in range(self.config["num_hidden_layers"]):
            block = f"model.layers.{i}"
            x = x + self.attention(self.norm(x, f"{block}.input_layernorm"), f"{block}.self_attn")
            x = x + self.mlp(self.norm(x, f"{block}.post_attention_layernorm"), f"{block}.mlp")
            hidden.append(x)
        x = self.norm(x, "model.norm")
        head = "model.embed_tokens" if self.config["tie_word_embeddings"] else "lm_head"
        return x @ self.weights[f"{head}.weight"].T, hidden


def check(folder):
    """The largest difference between the folder's goldens and this implementation."""
    model = Llama(folder)
    golden = load_file(folder / "golden.safetensors")
    worst = 0.0
    for case in json.loads((folder / "cases.json").read_text())["cases"]:
        tokens, key = case["tokens"], case["id"]
        logits, hidden = model.forward(np.array(tokens))
        logits_max = logits.max(-1, keepdims=True)
        logprobs = logits - logits_max - np.log(np.exp(logits - logits_max).sum(-1, keepdims=True))
        pairs = [(logits[-1], golden[f"{key}/last_logits"])]
        pairs += [(h, golden[f"{key}/hidden/{i}"]) for i, h in enumerate(hidden)]
        if len(tokens) > 1:
            picked = logprobs[np.arange(len(tokens) - 1), tokens[1:]]
            pairs.append((picked, golden[f"{key}/logprobs"]))
        worst = max(worst, *(np.abs(a - b).max() for a, b in pairs))
        sequence = list(tokens)
        for expected in case["greedy"]:
            sequence.append(int(model.forward(np.array(sequence))[0][-1].argmax()))
            if sequence[-1] != expected:
                print(f"{folder.name}/{key}: greedy continuation differs")
                return math.inf
    return worst


def main():
    differences = {folder.name: check(folder) for folder in sorted(ROOT.glob("llama*"))}
    for name, difference in differences.items():
        print(f"{name}: largest difference {difference:.2e}")
    return int(max(differences.values()) > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
