"""Golden training traces: `transformers` models under `torch.optim.AdamW` in a loop written out.

    python tests/goldens/train.py                # everything
    python tests/goldens/train.py full kl-lora   # the inputs and these traces

Inputs, in `tests/goldens/train/`:

base/, base-tied/      tiny random Llama models (biases and a head of its own; tied, no biases)
start/                 base with noise on every weight: what the guarded traces train, base being
                       their reference
adapter-qv/, adapter-all/   PEFT LoRA of rank 4 with alpha 8, A and B both not zero
adapter-rich/          ranks and alphas by pattern, rank-stabilised, on some layers, with embedding,
                       head and all norms in modules_to_save
adapter-parted/, adapter-kept/   of base-tied, with the embedding in modules_to_save: the head parts
                       from it, or stays tied to it
merged-rich/, ...      base and adapter merged by PEFT
rows.jsonl             one row a line, in the order of training:
                       tokens  ids
                       target  1 where the token is supervised: its prediction from the tokens
                               before it enters the loss (never the first token)
                       risk    in [0, 1]
                       guard   1 where the subspace guard watches the hidden state of this token
probes.json            token sequences for the final logits
basis.safetensors      `layer.<l>` [d, k]: orthonormal columns for the output of block l (from 1)

A trace, in `tests/goldens/train/<trace>/`:

trace.json             formula, settings, and for each step what that step saw before its update
first_gradients.safetensors   the gradient of every trainable parameter at the first step, before
                              clipping
final.safetensors      `logits/<i>` [n, V] on probe i and `weights/<name>` after the last step;
                       names as on disk: the checkpoint's, or PEFT's for an adapter

Every trace is run a second time one row at a time, without padding and with another attention
(`sdpa`): the largest differences are kept as `deviation` in trace.json, and show how much of a
tolerance rounding alone takes up.
"""

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    get_cosine_schedule_with_warmup,
)
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent / "train"
VOCABULARY, HIDDEN, LAYERS, RANK = 97, 32, 3, 3
GUARDED = range(1, LAYERS)  # outputs of blocks 1 .. L-1
MICRO_BATCH, ACCUMULATION, LONG, SHORT = 2, 2, 20, 5
ALL_PROJECTIONS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()

TASK = "L = (1/N) sum_t CE_t"
CE_KL = "L = (1/N) sum_t ((1 - beta_r) CE_t + beta_r KL(p_ref || p)_t)"
PENALTY = "(w/2) (1/M) sum_l sum_j a_r ||h_lj U_l - h_ref,lj U_l||^2"
FILTER = (
    "at every guarded (l, j): G <- G - (G U_l) U_l^T, G being the gradient that arrives from above "
    "the output of block l; the penalty's own gradient is added after it"
)
WHERE = {
    "t": "the supervised tokens of the accumulation window, N of them; r the row of t; CE and KL "
    "over the whole vocabulary in nats",
    "beta_r": "0.1 + 0.8 risk_r",
    "l, j": "guarded layers and guarded tokens of the window; M = layers times tokens; h_lj the "
    "output of block l (from 1), U_l from basis.safetensors",
    "a_r": "risk_r where guard_by_risk, else 1",
    "ref": "base (frozen), or for an adapter the same model with the adapter off",
}


@dataclass
class Settings:
    """One trace's configuration."""

    formula: str
    model: str
    adapter: str | None = None
    reference: str | None = None
    steps: int = LONG
    micro_batch: int = MICRO_BATCH
    accumulation: int = ACCUMULATION
    lr: float = 2e-3
    betas: tuple = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    warmup_steps: int = 3
    clip_norm: float = 1.0
    kl: bool = False
    guard_weight: float = 0.0
    guard_by_risk: bool = False
    guard_filter: bool = False


def full(formula, **changes):
    return Settings(formula, **{"model": "base", **changes})


def lora(formula, adapter, **changes):
    defaults = dict(lr=1e-2, betas=(0.9, 0.999), weight_decay=0.01)
    return Settings(formula, ADAPTERS[adapter][0], adapter, **{**defaults, **changes})


# name -> base, LoraConfig fields
ADAPTERS = {
    "adapter-qv": ("base", dict(target_modules=["q_proj", "v_proj"])),
    "adapter-all": ("base", dict(target_modules=ALL_PROJECTIONS)),
    "adapter-rich": (
        "base",
        dict(
            target_modules=ALL_PROJECTIONS,
            exclude_modules=["o_proj"],
            layers_to_transform=[0, 2],
            use_rslora=True,
            rank_pattern={"layers.0.self_attn.q_proj": 2, "(up|down)_proj": 3},
            alpha_pattern={"v_proj": 4, "layers.2.mlp.gate_proj": 16},
            modules_to_save=["embed_tokens", "lm_head", "norm"],
        ),
    ),
    "adapter-parted": (
        "base-tied",
        dict(target_modules=["q_proj", "v_proj"], modules_to_save=["embed_tokens"]),
    ),
    "adapter-kept": (
        "base-tied",
        dict(
            target_modules=["q_proj", "v_proj"],
            modules_to_save=["embed_tokens"],
            ensure_weight_tying=True,
        ),
    ),
}


guarded = dict(model="start", reference="base", steps=SHORT, warmup_steps=0)
TRACES = {
    "full": full(TASK, clip_norm=4.0),  # some steps clipped, some not
    "full-tied": full(TASK, model="base-tied"),
    "lora-qv": lora(TASK, "adapter-qv"),
    "lora-all": lora(TASK, "adapter-all"),
    "lora-rich": lora(TASK, "adapter-rich", lr=3e-3),
    "lora-parted": lora(TASK, "adapter-parted", lr=3e-3),
    "lora-kept": lora(TASK, "adapter-kept", lr=3e-3),
    "kl": full(CE_KL, kl=True, **guarded),
    "kl-lora": lora(CE_KL, "adapter-all", kl=True, steps=SHORT, warmup_steps=0),
    "both-lora": lora(
        f"{CE_KL} + {PENALTY}",
        "adapter-rich",
        kl=True,
        guard_weight=1.0,
        guard_by_risk=True,
        steps=SHORT,
        warmup_steps=0,
        lr=3e-3,
    ),
    "subspace": full(f"{TASK} + {PENALTY}", guard_weight=0.3, **guarded),
    "subspace-filter": full(
        f"{TASK} + {PENALTY}; {FILTER}", guard_weight=0.3, guard_filter=True, **guarded
    ),
    "both": full(
        f"{CE_KL} + {PENALTY}", kl=True, guard_weight=1.0, guard_by_risk=True, **guarded
    ),
}


# Inputs


def randomize(model, seed):
    """Weights wide enough that biases, norms and all layers matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.data.copy_(1.0 + 0.2 * noise)
        elif name.endswith("bias"):
            parameter.data.copy_(0.1 * noise)
        elif "embed" in name or "lm_head" in name:
            parameter.data.copy_(0.2 * noise)
        else:
            parameter.data.copy_(noise / parameter.shape[1] ** 0.5)


def write_models():
    shape = dict(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(LlamaConfig(attention_bias=True, mlp_bias=True, **shape))
    randomize(model, 21)
    model.save_pretrained(ROOT / "base")
    generator = torch.Generator().manual_seed(23)
    for parameter in model.parameters():
        parameter.data += 0.03 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(ROOT / "start")
    tied = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **shape))
    randomize(tied, 24)
    tied.save_pretrained(ROOT / "base-tied")
    for name, (base, fields) in ADAPTERS.items():
        write_adapter(name, base, fields)


def write_adapter(name, base, fields):
    settings = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, task_type="CAUSAL_LM", **fields)
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(ROOT / base, dtype=torch.float32), settings
    )
    generator = torch.Generator().manual_seed(22)
    for key, parameter in adapted.named_parameters():
        if "lora_" in key:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(noise * (0.18 if "lora_A" in key else 0.05))
        elif parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    adapted.save_pretrained(ROOT / name, save_embedding_layers=False)
    (ROOT / name / "README.md").unlink(missing_ok=True)
    file = ROOT / name / "adapter_config.json"
    config = json.loads(file.read_text())
    config |= {"base_model_name_or_path": base, "target_modules": fields["target_modules"]}
    for key in "exclude_modules", "modules_to_save":
        config[key] = sorted(config[key]) if config[key] else None
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if "modules_to_save" in fields:
        merged = load_adapter(base, name).merge_and_unload()
        merged.save_pretrained(ROOT / name.replace("adapter", "merged"))


def write_rows():
    """Prompts of random tokens, answers that follow a rule a model can learn: each answer token is
    the one before it plus three, within sixteen tokens. Some rows have two turns."""
    generator = torch.Generator().manual_seed(25)
    draw = lambda low, high: torch.randint(low, high, (1,), generator=generator).item()

    def turn():
        prompt = [draw(4, VOCABULARY) for _ in range(draw(2, 9))]
        first = draw(0, 16)
        return prompt, [40 + (first + 3 * i) % 16 for i in range(draw(2, 10))] + [2]

    with open(ROOT / "rows.jsonl", "w") as file:
        for i in range(LONG * MICRO_BATCH * ACCUMULATION):
            tokens, target, guard = [1], [0], [0]
            for _ in range(2 if i % 5 == 3 else 1):
                prompt, answer = turn()
                tokens += prompt + answer
                target += [0] * len(prompt) + [1] * len(answer)
                guard += [int(draw(0, 3) > 0) for _ in prompt] + [1] * 2 + [0] * (len(answer) - 2)
            risk = [0.0, 1.0, 0.35, 0.8][i % 4]
            row = dict(tokens=tokens, target=target, risk=risk, guard=guard)
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
    probes = [[1] + [draw(4, VOCABULARY) for _ in range(n)] for n in (4, 17)]
    (ROOT / "probes.json").write_text(json.dumps(probes) + "\n")
    save_file(
        {
            f"layer.{l}": torch.linalg.qr(torch.randn(HIDDEN, RANK, generator=generator)).Q.clone(
                memory_format=torch.contiguous_format
            )
            for l in GUARDED
        },
        ROOT / "basis.safetensors",
    )


# Training


def load(folder, attention):
    return AutoModelForCausalLM.from_pretrained(
        ROOT / folder, dtype=torch.float32, attn_implementation=attention
    )


def load_adapter(base, adapter, attention="eager", **options):
    return PeftModel.from_pretrained(load(base, attention), ROOT / adapter, **options)


def blocks(model):
    return (model.get_base_model() if isinstance(model, PeftModel) else model).model.layers


def collate(rows):
    """Right-padded `[rows, width]`: tokens, mask, targets, guarded positions; risk `[rows, 1]`."""
    width = max(len(r["tokens"]) for r in rows)
    pad = lambda key: torch.tensor([r[key] + [0] * (width - len(r[key])) for r in rows])
    mask = torch.tensor([[1] * len(r["tokens"]) + [0] * (width - len(r["tokens"])) for r in rows])
    risk = torch.tensor([[r["risk"]] for r in rows])
    return pad("tokens"), mask, pad("target").bool(), pad("guard").bool(), risk


class Blocks:
    """Keeps the outputs of the guarded blocks, and where asked filters the gradient that reaches
    them from above at the guarded positions."""

    def __init__(self, model, basis):
        self.basis, self.hidden, self.filtered = basis, {}, None
        for l in GUARDED:
            blocks(model)[l - 1].register_forward_hook(partial(self.output, l))

    def output(self, l, module, inputs, hidden):
        self.hidden[l] = hidden
        if self.filtered is None or not hidden.requires_grad:
            return hidden
        above, u, at = hidden.view_as(hidden), self.basis[l], self.filtered[..., None]
        above.register_hook(lambda g: g - at * (g @ u) @ u.T)
        return above


def window_loss(s, model, reference, taps, basis, rows, supervised, watched):
    """One micro-batch's share of the window's loss, with its terms."""
    tokens, mask, target, guard, risk = collate(rows)
    inputs = dict(input_ids=tokens, attention_mask=mask, use_cache=False)
    forward = lambda m: m(**inputs).logits[:, :-1].float()
    if s.kl or s.guard_weight:
        with torch.no_grad():
            taps["reference"].filtered = None
            if reference is None:
                with model.disable_adapter():
                    reference_logits = forward(model)
            else:
                reference_logits = forward(reference)
            reference_hidden = dict(taps["reference"].hidden)
    taps["model"].filtered = guard.float() if s.guard_filter else None
    logits = forward(model)
    at = target[:, 1:]
    ce = F.cross_entropy(logits[at], tokens[:, 1:][at], reduction="none")
    terms = {"ce": ce.sum() / supervised}
    loss = terms["ce"]
    if s.kl:
        logp, logq = logits[at].log_softmax(-1), reference_logits[at].log_softmax(-1)
        kl = (logq.exp() * (logq - logp)).sum(-1)
        beta = (0.1 + 0.8 * risk).expand_as(at)[at]
        terms["kl"] = kl.sum() / supervised
        loss = ((1 - beta) * ce + beta * kl).sum() / supervised
    if s.guard_weight:
        scale = risk if s.guard_by_risk else torch.ones_like(risk)
        scale = scale.expand_as(guard)[guard]
        penalty = 0.0
        for l in GUARDED:
            moved = (taps["model"].hidden[l] - reference_hidden[l])[guard] @ basis[l]
            penalty = penalty + (scale * moved.square().sum(-1)).sum() / watched
        terms["penalty"] = penalty
        loss = loss + s.guard_weight / 2 * penalty
    return loss, {key: value.item() for key, value in terms.items()}


def on_disk(model, tensors):
    """Parameter names as the files have them."""
    if isinstance(model, PeftModel):
        return {
            key.replace(".modules_to_save.default.", ".").replace(".default.", "."): value
            for key, value in tensors.items()
        }
    return tensors


def run(s, rows, one_by_one=False):
    """Trains; gives the steps, the gradients of the first step, and final logits and weights."""
    torch.manual_seed(0)
    attention = "sdpa" if one_by_one else "eager"
    saved = load_file(ROOT / "basis.safetensors")
    basis = {l: saved[f"layer.{l}"] for l in GUARDED}
    reference = None
    if s.adapter:
        model = load_adapter(s.model, s.adapter, attention, is_trainable=True)
    else:
        model = load(s.model, attention)
    if s.reference:
        reference = load(s.reference, attention).eval()
    model.train()
    taps = {"model": Blocks(model, basis)}
    taps["reference"] = Blocks(reference, basis) if reference else taps["model"]
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trainable.values() if p.dim() > 1]},
            {"params": [p for p in trainable.values() if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=s.lr,
        betas=s.betas,
        eps=s.eps,
        weight_decay=s.weight_decay,
        foreach=False,
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, s.warmup_steps, s.steps)
    steps, first = [], None
    for step in range(s.steps):
        window = rows[step * s.micro_batch * s.accumulation :][: s.micro_batch * s.accumulation]
        supervised = sum(sum(r["target"]) for r in window)
        watched = sum(sum(r["guard"]) for r in window) * len(GUARDED)
        size = 1 if one_by_one else s.micro_batch
        loss, terms = 0.0, {}
        optimizer.zero_grad()
        for i in range(0, len(window), size):
            part, shares = window_loss(
                s, model, reference, taps, basis, window[i : i + size], supervised, watched
            )
            part.backward()
            loss += part.item()
            terms = {key: terms.get(key, 0.0) + share for key, share in shares.items()}
        if step == 0:
            first = {name: p.grad.clone() for name, p in trainable.items()}
        norm = torch.nn.utils.clip_grad_norm_(trainable.values(), s.clip_norm, foreach=False)
        steps.append(
            {
                "step": step + 1,
                "loss": loss,
                **terms,
                "grad_norm": norm.item(),
                "lr": schedule.get_last_lr()[0],
                "supervised": supervised,
                "tokens": sum(len(r["tokens"]) for r in window),
                **({"row_weight": s.guard_weight / watched} if s.guard_weight else {}),
            }
        )
        optimizer.step()
        schedule.step()
    model.eval()
    taps["model"].filtered = None
    final = {}
    with torch.no_grad():
        for i, probe in enumerate(json.loads((ROOT / "probes.json").read_text())):
            final[f"logits/{i}"] = model(torch.tensor([probe]), use_cache=False).logits[0].clone()
    state = trainable
    if s.adapter:
        state = get_peft_model_state_dict(model, save_embedding_layers=False)
    final.update({f"weights/{n}": p.detach().clone() for n, p in state.items()})
    return steps, on_disk(model, first), final


def largest(a, b, prefix=""):
    return max((a[k] - b[k]).abs().max().item() for k in a if k.startswith(prefix))


def write_trace(name, s):
    rows = [json.loads(line) for line in (ROOT / "rows.jsonl").read_text().splitlines()]
    steps, first, final = run(s, rows)
    again, first_again, final_again = run(s, rows, one_by_one=True)
    deviation = {
        "loss": max(abs(a["loss"] - b["loss"]) for a, b in zip(steps, again)),
        "first_gradients": largest(first, first_again),
        "logits": largest(final, final_again, "logits/"),
        "weights": largest(final, final_again, "weights/"),
    }
    folder = ROOT / name
    folder.mkdir(exist_ok=True)
    save_file(first, folder / "first_gradients.safetensors")
    save_file(final, folder / "final.safetensors")
    settings = asdict(s)
    head = {"formula": settings.pop("formula"), "where": WHERE, "settings": settings}
    head["lr"] = (
        "step s from 0: lr s / warmup_steps while s < warmup_steps, then "
        "lr (1 + cos(pi (s - warmup_steps) / (steps - warmup_steps))) / 2"
    )
    head["clipping"] = "gradients times min(1, clip_norm / (grad_norm + 1e-6))"
    head["weight_decay"] = "parameters of two dimensions only"
    head["terms"] = (
        "ce = (1/N) sum CE; kl = (1/N) sum KL; penalty = (1/M) sum a_r ||..||^2, all without their "
        "weights; row_weight = w / M, which a_r multiplies"
    )
    text = json.dumps(head, indent=2)[:-2] + ',\n  "deviation": ' + json.dumps(deviation)
    lines = ",\n".join("    " + json.dumps(step) for step in steps)
    (folder / "trace.json").write_text(f'{text},\n  "steps": [\n{lines}\n  ]\n}}\n')
    clipped = sum(step["grad_norm"] > s.clip_norm for step in steps)
    print(
        f"{name}: loss {steps[0]['loss']:.4f} .. {steps[-1]['loss']:.4f}, "
        f"{clipped} of {len(steps)} steps clipped, deviation "
        + ", ".join(f"{key} {value:.1e}" for key, value in deviation.items())
    )


def main(names):
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if not names:
        shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(exist_ok=True)
    write_models()
    write_rows()
    for name in names or TRACES:
        write_trace(name, TRACES[name])


if __name__ == "__main__":
    main(sys.argv[1:])
