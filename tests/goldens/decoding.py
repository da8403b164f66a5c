"""Golden files for decoding: what `transformers.generate` makes of the logits of `model/`.

    python tests/goldens/model.py       # the models come first
    python tests/goldens/decoding.py

cases.json             `distributions`: a prompt, the settings, and the tokens that were drawn after
                       it; `greedy`: a prompt, a repetition penalty, the ids that end a sequence, and
                       the tokens up to the one that ended it, which is left out
golden.safetensors     `<case>` [steps, V]: the probabilities that each of a case's tokens was drawn
                       from, after all processors

Everything is float32 on one thread with eager attention; a prompt is never padded, because
`transformers` would count its padding as said.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent
MODELS = ("llama-gqa", "llama3-rope")
STEPS = 6

# Each processor alone, then together: their order shows.
SETTINGS = {
    "plain": {},
    "temperature": dict(temperature=0.6),
    "hot": dict(temperature=1.7),
    "top-k": dict(top_k=5),
    "top-k-over": dict(top_k=1000),
    "top-p": dict(top_p=0.7),
    "top-p-tiny": dict(top_p=1e-6),
    "min-p": dict(min_p=0.15),
    "penalty": dict(repetition_penalty=1.4),
    "reward": dict(repetition_penalty=0.8),
    "k-then-p": dict(top_k=6, top_p=0.85),
    "all": dict(repetition_penalty=1.3, temperature=1.4, top_k=12, top_p=0.8, min_p=0.08),
}


def load(name):
    model = AutoModelForCausalLM.from_pretrained(
        ROOT / "model" / name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    cases = json.loads((ROOT / "model" / name / "cases.json").read_text())["cases"]
    return model, {case["id"]: case["tokens"] for case in cases}


def generate(model, tokens, **settings):
    # A model's own configuration would fill what is left out here.
    model.generation_config = GenerationConfig(
        pad_token_id=0, use_cache=True, output_scores=True, return_dict_in_generate=True, **settings
    )
    out = model.generate(torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens)).long())
    return out.sequences[0, len(tokens) :].tolist(), torch.cat(out.scores)


def drawn(name, model, prompts):
    for seed, (label, settings) in enumerate(SETTINGS.items()):
        tokens = prompts["n33" if seed % 2 else "n7"]
        torch.manual_seed(seed)
        full = dict(temperature=1.0, top_k=0, top_p=1.0) | settings
        new, scores = generate(
            model, tokens, do_sample=True, max_new_tokens=STEPS, eos_token_id=None, **full
        )
        case = {"id": f"{name}/{label}", "model": name, "tokens": tokens, "new": new}
        yield case | {"settings": settings}, scores.softmax(-1)


def greedy(name, model, prompts):
    for penalty in (1.0, 1.2, 3.0):
        for tokens in (prompts["n7"], prompts["n33"]):
            options = dict(do_sample=False, max_new_tokens=24, repetition_penalty=penalty)
            free, scores = generate(model, tokens, eos_token_id=None, **options)
            best = scores.topk(2).values
            if (best[:, 0] - best[:, 1]).min() < 1e-3:
                print(f"{name}, penalty {penalty}: two scores nearly equal, left out")
                continue
            # The tenth token and one that never comes, as a folder's list of end tokens would be.
            stops = [free[9], next(i for i in range(4, 97) if i not in free)]
            ended, _ = generate(model, tokens, eos_token_id=stops, **options)
            for eos, new in ([], free), (stops, ended[:-1]):
                yield dict(model=name, tokens=tokens, penalty=penalty, stops=eos, new=new)


def main():
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = ROOT / "decoding"
    folder.mkdir(exist_ok=True)
    cases, tensors = {"distributions": [], "greedy": []}, {}
    for name in MODELS:
        model, prompts = load(name)
        for case, probabilities in drawn(name, model, prompts):
            cases["distributions"].append(case)
            tensors[case["id"]] = probabilities.contiguous()
        cases["greedy"] += greedy(name, model, prompts)
    save_file(tensors, folder / "golden.safetensors")
    text = ",\n".join(
        f'  "{part}": [\n' + ",\n".join("    " + json.dumps(case) for case in rows) + "\n  ]"
        for part, rows in cases.items()
    )
    (folder / "cases.json").write_text("{\n" + text + "\n}\n")
    kept = {case["id"]: int((tensors[case["id"]][0] > 0).sum()) for case in cases["distributions"]}
    print(f"tokens left to draw from at the first step: {kept}; {len(cases['greedy'])} greedy")


if __name__ == "__main__":
    main()
