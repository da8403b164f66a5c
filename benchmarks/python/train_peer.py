"""The peer of `holdfast train`: `transformers` and PyTorch doing what the same configuration says.

    python benchmarks/python/train_peer.py CONFIG.yaml --threads 2

Reads model, data (rows of `messages`, in their order or packed), tune, precision,
activation_checkpointing, steps, batch_size, accumulation, optimizer, schedule and clip_norm as
`train` does, and trains with what serves PyTorch best on a CPU: scaled-dot-product attention, fused
AdamW, padding to the longest row of the micro-batch, no mask where nothing is padded. Packed rows are
one sequence whose positions begin anew, from which `transformers` makes its block-diagonal mask. In
bfloat16 the optimizer moves float32 masters. The loss is the model's own, over all logits. Writes no
checkpoint.

Prints one line of JSON: `seconds`, `tokens` (without padding), `supervised` and `loss` of every
step, and `tokens_per_second` over the steps after the first `--skip`.
"""

import argparse
import json
import time

import torch
import yaml
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)
from transformers.utils import logging


def encode(tokenizer, messages, loss_on, limit):
    """Ids and labels of one conversation; -100 where a token is not supervised."""
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = 0
    if loss_on == "completion":
        prompt = len(
            tokenizer.apply_chat_template(
                messages[:-1], add_generation_prompt=True, return_dict=False
            )
        )
    return ids[:limit], ([-100] * prompt + ids[prompt:])[:limit]


def batch(rows):
    width = max(len(ids) for ids, _ in rows)
    pad = lambda values, with_: torch.tensor([v + [with_] * (width - len(v)) for v in values])
    mask = pad([[1] * len(ids) for ids, _ in rows], 0)
    return {
        "input_ids": pad([ids for ids, _ in rows], 0),
        "labels": pad([labels for _, labels in rows], -100),
        "attention_mask": None if mask.all() else mask,
    }


def pack(rows, length, buffer=1024):
    """Best-fit decreasing over buffers of rows, as `train` packs them; lists of rows."""
    packed = []
    for start in range(0, len(rows), buffer):
        part, bins = rows[start : start + buffer], []
        for i in sorted(range(len(part)), key=lambda i: -len(part[i][0])):
            size = len(part[i][0])
            fitting = [b for b in bins if b[0] >= size]
            # Of rows that are equally full the one filled last.
            best = min(reversed(fitting), key=lambda b: b[0], default=None)
            if best is None:
                best = [length, []]
            else:
                bins.remove(best)
            best[0] -= size
            best[1].append(i)
            bins.append(best)
        indices = sorted(sorted(b[1]) for b in bins)
        packed += [[part[i] for i in row] for row in indices]
    return packed


def flat(rows):
    """One sequence of several rows; each row's first token is nobody's label."""
    return {
        "input_ids": torch.tensor([[i for ids, _ in rows for i in ids]]),
        "labels": torch.tensor([[l for _, labels in rows for l in [-100] + labels[1:]]]),
        "position_ids": torch.tensor([[p for ids, _ in rows for p in range(len(ids))]]),
    }


def build(config):
    model = AutoModelForCausalLM.from_pretrained(
        config["model"], dtype=torch.float32, attn_implementation="sdpa"
    )
    tune = config["tune"]
    if tune != "full":
        from peft import LoraConfig, get_peft_model

        lora = tune["lora"]
        model = get_peft_model(
            model,
            LoraConfig(
                r=lora["rank"],
                lora_alpha=lora["alpha"],
                lora_dropout=lora.get("dropout", 0.0),
                target_modules=lora["targets"],
                task_type="CAUSAL_LM",
            ),
        )
    if config.get("activation_checkpointing"):
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trainable = [p for p in model.parameters() if p.requires_grad]
    masters = trainable
    if config["precision"] == "bfloat16":
        masters = [p.detach().clone() for p in trainable]
        # An adapter stays float32 and is its own master, as peft has it.
        masters = masters if tune == "full" else trainable
        for name, parameter in model.named_parameters():
            if "lora_" not in name:
                parameter.data = parameter.data.bfloat16()
    wanted = config["optimizer"]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in masters if p.dim() > 1]},
            {"params": [p for p in masters if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=wanted["lr"],
        betas=tuple(wanted["betas"]),
        eps=wanted["eps"],
        weight_decay=wanted["weight_decay"],
        fused=True,
    )
    warmup, decay = config["schedule"]["warmup_steps"], config["schedule"]["decay"]
    if decay == "constant":
        schedule = get_constant_schedule_with_warmup(optimizer, warmup)
    else:
        make = {
            "cosine": get_cosine_schedule_with_warmup,
            "linear": get_linear_schedule_with_warmup,
        }[decay]
        schedule = make(optimizer, warmup, config["steps"])
    return model.train(), trainable, masters, optimizer, schedule


def collect(trainable, masters):
    """Adds the gradients of a micro-batch to those of the masters."""
    for parameter, master in zip(trainable, masters):
        if parameter is not master:
            gradient = parameter.grad.float()
            master.grad = gradient if master.grad is None else master.grad + gradient
            parameter.grad = None


@torch.no_grad()
def publish(trainable, masters):
    """Rounds the masters into the model."""
    for parameter, master in zip(trainable, masters):
        if parameter is not master:
            parameter.copy_(master)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    with open(arguments.config) as file:
        config = yaml.safe_load(file)
    size, accumulation = config["batch_size"], config["accumulation"]
    tokenizer = AutoTokenizer.from_pretrained(config["model"])
    lines = [line for name in config["data"]["train"] for line in open(name)]
    limit, count = config["data"]["max_length"], config["steps"] * size * accumulation
    packing = config["data"].get("packing", False)
    wanted = lines if packing else [lines[i % len(lines)] for i in range(count)]
    encoded = [
        encode(tokenizer, json.loads(line)["messages"], config["data"]["loss_on"], limit)
        for line in wanted
    ]
    rows = pack(encoded, limit) if packing else [[row] for row in encoded]
    rows = [rows[i % len(rows)] for i in range(count)]
    together = flat if packing else batch
    model, trainable, masters, optimizer, schedule = build(config)
    result = {"seconds": [], "tokens": [], "supervised": [], "loss": []}
    for step in range(config["steps"]):
        start = time.perf_counter()
        window = rows[step * size * accumulation :][: size * accumulation]
        examples = [example for row in window for example in row]
        supervised = sum(label != -100 for _, labels in examples for label in labels[1:])
        total = 0.0
        for i in range(0, len(window), size):
            inputs = together([example for row in window[i : i + size] for example in row])
            loss = model(**inputs, num_items_in_batch=supervised, use_cache=False).loss
            loss.backward()
            collect(trainable, masters)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(masters, config["clip_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        publish(trainable, masters)
        result["seconds"].append(time.perf_counter() - start)
        result["tokens"].append(sum(len(ids) for ids, _ in examples))
        result["supervised"].append(supervised)
        result["loss"].append(total)
    result["tokens_per_second"] = sum(result["tokens"][arguments.skip :]) / sum(
        result["seconds"][arguments.skip :]
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
