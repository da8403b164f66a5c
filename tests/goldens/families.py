"""Golden training traces of every family: 20 steps of `transformers` in full and with PEFT's LoRA.

    python tests/goldens/families.py            # after train.py, whose rows and loop it uses
    python tests/goldens/families.py gemma2     # one family

For each family, in `tests/goldens/families/<family>/`:

base/                 a tiny random model, windows shorter than most rows
adapter/              a LoRA on all of its projections, A and B both not zero
full.json, lora.json  settings, and for each step what it saw before its update, as train.py's
                      `trace.json`
final.safetensors     `full/<i>`, `lora/<i>` [n, V]: logits of probe i after the last step
"""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

import train
from model import randomize

ROOT = Path(__file__).resolve().parent / "families"
SHAPE = dict(
    vocab_size=train.VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
FAMILIES = {
    "mistral": dict(model_type="mistral", num_hidden_layers=2, head_dim=12, sliding_window=6),
    "qwen2": dict(model_type="qwen2", num_hidden_layers=2, tie_word_embeddings=True),
    "qwen3": dict(model_type="qwen3", num_hidden_layers=2, head_dim=16),
    "gemma": dict(model_type="gemma", num_hidden_layers=2, head_dim=8),
    "gemma2": dict(
        model_type="gemma2",
        num_hidden_layers=2,
        head_dim=8,
        sliding_window=6,
        query_pre_attn_scalar=12,
        attn_logit_softcapping=3.0,
        final_logit_softcapping=5.0,
    ),
    "gemma3": dict(
        model_type="gemma3_text",
        num_hidden_layers=3,
        head_dim=8,
        sliding_window=6,
        sliding_window_pattern=3,
        query_pre_attn_scalar=12,
    ),
    "phi3": dict(model_type="phi3", num_hidden_layers=2, sliding_window=6, hidden_size=64),
}


def build(name, folder):
    torch.manual_seed(0)
    config = AutoConfig.for_model(**{**SHAPE, **FAMILIES[name]})
    model = AutoModelForCausalLM.from_config(config)
    randomize(model, torch.Generator().manual_seed(31))
    model.save_pretrained(folder / "base")
    projections = sorted(
        {
            key.split(".")[-1]
            for key, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and not key.endswith("lm_head")
        }
    )
    settings = LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules=projections, task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(model, settings)
    generator = torch.Generator().manual_seed(32)
    for key, parameter in adapted.named_parameters():
        if "lora_" in key:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(noise * (0.18 if "lora_A" in key else 0.05))
    adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    file = folder / "adapter" / "adapter_config.json"
    config = json.loads(file.read_text())
    config |= {"base_model_name_or_path": "base", "target_modules": projections}
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main(names):
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rows = [json.loads(line) for line in (train.ROOT / "rows.jsonl").read_text().splitlines()]
    for name in names or FAMILIES:
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        build(name, folder)
        final = {}
        base = str(folder / "base")
        low_rank = dict(lr=1e-2, betas=(0.9, 0.999), weight_decay=0.01)
        for kind, settings in (
            ("full", train.Settings(train.TASK, base)),
            ("lora", train.Settings(train.TASK, base, str(folder / "adapter"), **low_rank)),
        ):
            steps, _, end = train.run(settings, rows)
            final.update(
                {f"{kind}/{k[7:]}": v for k, v in end.items() if k.startswith("logits/")}
            )
            head = {**asdict(settings), "model": "base"}
            head["adapter"] = "adapter" if settings.adapter else None
            lines = ",\n".join("    " + json.dumps(step) for step in steps)
            (folder / f"{kind}.json").write_text(
                f'{{\n  "settings": {json.dumps(head)},\n  "steps": [\n{lines}\n  ]\n}}\n'
            )
            print(f"{name} {kind}: loss {steps[0]['loss']:.4f} .. {steps[-1]['loss']:.4f}")
        save_file(final, folder / "final.safetensors")


if __name__ == "__main__":
    main(sys.argv[1:])
