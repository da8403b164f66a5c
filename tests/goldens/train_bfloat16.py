"""Golden traces of training in bfloat16, beside those of train.py and with its models and rows.

    python tests/goldens/train_bfloat16.py

The model computes in bfloat16 and rounds float32 masters; gradients of micro-batches are added up in
float32, PyTorch's AdamW moves the masters, and each step rounds them anew. Logits become float32
before the loss. An adapter is float32 on a bfloat16 base, as PEFT has it. Norms are float32 inside,
as in `transformers`.

Two programs that do the same in another order of operations drift apart by the rounding of bfloat16.
Each trace is made twice, with eager attention on micro-batches and with
scaled_dot_product_attention on single rows; `deviation` says how far the two are apart.
"""

import json

import torch
from train import ROOT, Blocks, full, lora, load, load_adapter, window_loss, TASK
from transformers import get_cosine_schedule_with_warmup
from transformers.utils import logging

TRACES = {
    "bfloat16": full(TASK, clip_norm=4.0),
    "bfloat16-lora": lora(TASK, "adapter-all"),
}


def narrow(model):
    """The base's weights in bfloat16; adapters stay float32."""
    for name, parameter in model.named_parameters():
        if "lora_" not in name:
            parameter.data = parameter.data.bfloat16()


def run(s, rows, one_by_one):
    torch.manual_seed(0)
    attention = "sdpa" if one_by_one else "eager"
    if s.adapter:
        model = load_adapter(s.model, s.adapter, attention, is_trainable=True)
    else:
        model = load(s.model, attention)
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    masters = {n: p.detach().float().clone() for n, p in trainable.items()}
    narrow(model)
    model.train()
    taps = {"model": Blocks(model, {})}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in masters.values() if p.dim() > 1]},
            {"params": [p for p in masters.values() if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=s.lr,
        betas=s.betas,
        eps=s.eps,
        weight_decay=s.weight_decay,
        foreach=False,
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, s.warmup_steps, s.steps)
    size = 1 if one_by_one else s.micro_batch
    steps = []
    for step in range(s.steps):
        window = rows[step * s.micro_batch * s.accumulation :][: s.micro_batch * s.accumulation]
        supervised = sum(sum(r["target"]) for r in window)
        for master in masters.values():
            master.grad = torch.zeros_like(master)
        loss = 0.0
        for i in range(0, len(window), size):
            part, _ = window_loss(s, model, None, taps, {}, window[i : i + size], supervised, 0)
            part.backward()
            loss += part.item()
            for name, parameter in trainable.items():
                masters[name].grad += parameter.grad.float()
                parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(masters.values(), s.clip_norm, foreach=False)
        steps.append({"step": step + 1, "loss": loss, "grad_norm": norm.item()})
        optimizer.step()
        schedule.step()
        for name, parameter in trainable.items():
            parameter.data.copy_(masters[name])
    return steps


def write(name, s):
    rows = [json.loads(line) for line in (ROOT / "rows.jsonl").read_text().splitlines()]
    steps, again = run(s, rows, False), run(s, rows, True)
    deviation = {
        "loss": max(abs(a["loss"] - b["loss"]) for a, b in zip(steps, again)),
        "grad_norm": max(abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in zip(steps, again)),
    }
    settings = {key: value for key, value in vars(s).items() if key != "formula"}
    text = json.dumps({"settings": settings, "deviation": deviation}, indent=2)[:-2]
    lines = ",\n".join("    " + json.dumps(step) for step in steps)
    (ROOT / name).mkdir(exist_ok=True)
    (ROOT / name / "trace.json").write_text(f'{text},\n  "steps": [\n{lines}\n  ]\n}}\n')
    print(f"{name}: loss {steps[0]['loss']:.4f} .. {steps[-1]['loss']:.4f}, deviation {deviation}")


def main():
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, s in TRACES.items():
        write(name, s)


if __name__ == "__main__":
    main()
