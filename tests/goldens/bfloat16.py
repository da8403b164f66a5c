"""Golden files for bfloat16: log-probabilities by two attention implementations of `transformers`.

    python tests/goldens/model.py       # the models come first; they are rounded to bfloat16 here
    python tests/goldens/bfloat16.py

golden.safetensors     `<model>/<id>/eager`, `<model>/<id>/sdpa` [n-1]: log p(tokens[i+1] |
                       tokens[0..i]) of the sequences in the model's cases.json, the log-softmax in
                       float32; `<model>/<id>/exact`: the same weights, all else in float32

How far the first two lie apart is what a rounding at another place amounts to.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent
MODELS = ("llama-gqa", "llama3-rope", "mistral", "qwen2", "qwen3", "gemma", "gemma3", "phi3")


def logprobs(model, tokens):
    logits = model(torch.tensor([tokens]), use_cache=False).logits[0, :-1].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]


def main():
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    tensors = {}
    for name in MODELS:
        folder = ROOT / "model" / name
        cases = json.loads((folder / "cases.json").read_text())["cases"]
        for kind in ("eager", "sdpa", "exact"):
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.bfloat16,
                attn_implementation="sdpa" if kind == "exact" else kind,
            ).eval()
            if kind == "exact":
                model = model.float()
            with torch.no_grad():
                for case in cases:
                    if len(case["tokens"]) > 1:
                        tensors[f"{name}/{case['id']}/{kind}"] = logprobs(model, case["tokens"])
        both = {
            kind: torch.cat([t for k, t in tensors.items() if k.startswith(f"{name}/") and k.endswith(kind)])
            for kind in ("eager", "sdpa", "exact")
        }
        rms = lambda a, b: (both[a] - both[b]).square().mean().sqrt().item()
        print(
            f"{name}: eager - sdpa {rms('eager', 'sdpa'):.4f}, eager - exact "
            f"{rms('eager', 'exact'):.4f}, sdpa - exact {rms('sdpa', 'exact'):.4f}"
        )
    (ROOT / "bfloat16").mkdir(exist_ok=True)
    save_file(tensors, ROOT / "bfloat16" / "golden.safetensors")


if __name__ == "__main__":
    main()
