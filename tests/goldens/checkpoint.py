"""Golden files for the formats: what `safetensors`, `transformers` and `peft` write.

    python tests/goldens/checkpoint.py

types.safetensors     every element type that Holdfast knows in several shapes, and awkward names;
                      element i of each tensor is i + 1 (true for booleans)
single/, sharded/     one tiny Llama, bfloat16 but for its norms, in one file and in shards of at
                      most 600 bytes; order.json lists its tensors in the order of the model, which
                      decides how they are sharded
adapters/<name>/      LoRAs of that model that Holdfast reads; beside each, `modules.json` lists the
                      modules that PEFT adapted, `scaling.json` the rank and factor of each, and
                      `saved.json` the weights that it keeps in full
refused/<name>.json   `adapter_config.json` with options that Holdfast must refuse by name

All weights are random and tiny.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent / "checkpoint"
TYPES = (
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)
SHAPES = ((), (0,), (3,), (2, 5), (1, 2, 3))
NAMES = ("\u00e9", 'quote"back\\slash', "line\nbreak\u2028", "\uff5e", "\U0001f600", "a/b", "")

# name -> LoraConfig fields
ADAPTERS = {
    "list": dict(target_modules=["q_proj", "v_proj"]),
    "full-names": dict(target_modules=["model.layers.1.self_attn.q_proj", "down_proj"]),
    "regex": dict(target_modules=r".*layers\.[1-9]\..*\.(q|up)_proj"),
    "all-linear": dict(target_modules="all-linear", use_rslora=True, lora_alpha=5, r=3),
    "gaussian": dict(target_modules=["o_proj"], init_lora_weights="gaussian", lora_dropout=0.25),
    "patterns": dict(
        target_modules=["q_proj", "v_proj", "up_proj", "down_proj"],
        use_rslora=True,
        r=4,
        rank_pattern={"layers.0.self_attn.q_proj": 1, "(up|down)_proj": 3, "q_proj": 2},
        alpha_pattern={"^model.layers.1.mlp.up_proj": 7, "v_proj": 0.5},
    ),
    "saved": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head", "norm"]),
    "saved-blocks": dict(target_modules="all-linear", modules_to_save=["layers.1.mlp"]),
    "layers": dict(
        target_modules=["q_proj", "model.layers.0.self_attn.v_proj"], layers_to_transform=[1]
    ),
    "layers-pattern": dict(
        target_modules=["q_proj", "up_proj"], layers_to_transform=[0], layers_pattern=["h", "layers"]
    ),
    "excluded": dict(target_modules=["q_proj", "v_proj"], exclude_modules=["layers.0.self_attn.q_proj"]),
    "excluded-regex": dict(target_modules="all-linear", exclude_modules=r".*\.1\..*|.*o_proj"),
}
REFUSED = {
    "use_dora": dict(use_dora=True),
    "bias": dict(bias="lora_only"),
    "lora_bias": dict(lora_bias=True),
    "fan_in_fan_out": dict(fan_in_fan_out=True),
    "trainable_token_indices": dict(trainable_token_indices=[1]),
    "target_parameters": dict(target_parameters=["mlp.up_proj.weight"]),
    "init_lora_weights": dict(init_lora_weights="pissa"),
    "task_type": dict(task_type="SEQ_CLS"),
}


def types():
    tensors = {}
    for dtype in TYPES:
        for shape in SHAPES:
            count = torch.Size(shape).numel()
            values = torch.arange(1, count + 1).reshape(shape).to(dtype)
            tensors[f"{str(dtype)[6:]}/{list(shape)}"] = values
    for name in NAMES:
        tensors[name] = torch.ones(1)
    save_file(tensors, ROOT / "types.safetensors", metadata={"made \u00e9 by": 'a "script"\n'})


def tiny():
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=13,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    for name, module in model.named_modules():
        if name.endswith("norm"):
            module.float()
    return model


def models():
    model = tiny()
    model.save_pretrained(ROOT / "single")
    model.save_pretrained(ROOT / "sharded", max_shard_size=600)
    (ROOT / "order.json").write_text(json.dumps(list(model.state_dict()), indent=1) + "\n")


def adapters():
    for name, fields in ADAPTERS.items():
        fields = {"r": 2, "lora_alpha": 4, **fields}
        model = get_peft_model(tiny().float(), LoraConfig(task_type="CAUSAL_LM", **fields))
        prefix = "base_model.model."
        scaling = {
            path.removeprefix(prefix): {"r": module.r["default"], "factor": module.scaling["default"]}
            for path, module in model.named_modules()
            if isinstance(module, LoraLayer)
        }
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter)
        folder = ROOT / "adapters" / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        stable(folder / "adapter_config.json")
        with safe_open(folder / "adapter_model.safetensors", "pt") as file:
            saved = [key.removeprefix(prefix) for key in file.keys() if ".lora_" not in key]
        for name, content in ("modules", list(scaling)), ("scaling", scaling), ("saved", saved):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def refused():
    (ROOT / "refused").mkdir()
    for name, fields in REFUSED.items():
        fields = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"], **fields}
        LoraConfig(r=2, lora_alpha=4, **fields).save_pretrained(ROOT / "refused")
        stable(ROOT / "refused" / "adapter_config.json")
        (ROOT / "refused" / "adapter_config.json").rename(ROOT / "refused" / f"{name}.json")


def stable(file):
    """PEFT writes its sets in any order; these files are to come out the same every time."""
    config = json.loads(file.read_text())
    for key, value in config.items():
        if key in ("target_modules", "modules_to_save", "exclude_modules") and isinstance(value, list):
            config[key] = sorted(value)
    file.write_text(json.dumps(config, indent=2, sort_keys=True))


def main():
    logging.disable_progress_bar()
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    types()
    models()
    adapters()
    refused()


if __name__ == "__main__":
    main()
