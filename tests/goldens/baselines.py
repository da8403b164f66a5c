"""Goldens of the published baselines: their gradients and weights by PyTorch autograd in float64 on
`transformers` models, written out from the papers' formulas.

    python tests/goldens/baselines.py

Inputs are those of train.py: `start` is trained, `base` is its reference and the model before
alignment; rows 0 to 3 are the run's own, rows 4 to 7 a method's own. Writes baselines.safetensors:

task/<w>              gradient of the mean cross entropy of the run's rows, for weight <w>
ewc/<w>               diagonal of the Fisher information of rows 4 to 7
vaccine/<w>           gradient of the second pass, rho 0.5
booster/<w>           whole gradient, lambda 5, alpha 0.1
circuit/<w>           whole gradient at step 1 of a schedule of 4, strength 10, slots 1 and 3
repnoise/<w>          gradient of its two terms, alpha 1, beta 0.5, with noise/<layer>
safe_lora/<module>    B after projection at the threshold in the file's metadata
sa_lora/<module>      V V^T of the 8 leading directions, [out, out]
antidote/<w>          the weight after pruning a tenth; antidote/<module>.a and .b of the adapter, 0.3
"""

import copy
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parent / "train"
WEIGHTS = ["model.layers.0.mlp.down_proj.weight", "model.layers.2.self_attn.q_proj.weight"]
MODULES = ["model.layers.0.mlp.down_proj", "model.layers.2.self_attn.q_proj"]
torch.set_default_dtype(torch.float64)


def load(name):
    return AutoModelForCausalLM.from_pretrained(
        ROOT / name, dtype=torch.float64, attn_implementation="eager"
    )


ROWS = [json.loads(line) for line in open(ROOT / "rows.jsonl")]
OWN, HARM = ROWS[:4], ROWS[4:8]
out = {}


def run(model, row):
    """Logits of one row without its last token, and the labels that are supervised."""
    ids = torch.tensor([row["tokens"]])
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
    at = torch.tensor(row["target"][1:]).bool()
    return logits[at], ids[0, 1:][at]


def mean_loss(model, rows):
    logits, labels = zip(*(run(model, row) for row in rows))
    return F.cross_entropy(torch.cat(logits), torch.cat(labels))


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def keep(name, values):
    for w in WEIGHTS:
        out[f"{name}/{w}"] = values[w].float()


def norm(values):
    return sum((v**2).sum() for v in values).sqrt()


model, base = load("start"), load("base")
for p in base.parameters():
    p.requires_grad_(False)
task = gradients(model, mean_loss(model, OWN))
keep("task", task)

# EWC
fisher = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
for row in HARM:
    logits, labels = run(model, row)
    g = gradients(model, F.cross_entropy(logits, labels, reduction="sum"))
    for n in g:
        fisher[n] += g[n] ** 2 / len(HARM)
keep("ewc", fisher)

# Vaccine: rows one at a time have the same attention outputs as side by side; the loss is a mean
# over the tokens of all rows.
outputs, added, hooks = [], None, []


def attention(module, inputs, result):
    """First keeps what attention adds, then adds to it, in the same order."""
    if added is None:
        result[0].retain_grad()
        outputs.append(result[0])
        return result
    return (result[0] + added.pop(0),) + result[1:]


for block in model.model.layers:
    hooks.append(block.self_attn.register_forward_hook(attention))
gradients(model, mean_loss(model, OWN))
found = [h.grad.clone() for h in outputs]
added = [0.5 * g / norm(found) for g in found]
keep("vaccine", gradients(model, mean_loss(model, OWN)))
for hook in hooks:
    hook.remove()

# Booster
here = gradients(model, mean_loss(model, HARM))
ahead_model = copy.deepcopy(model)
with torch.no_grad():
    length = norm(here.values())
    for n, p in ahead_model.named_parameters():
        p -= 0.1 * here[n] / length
ahead = gradients(ahead_model, mean_loss(ahead_model, HARM))
keep("booster", {n: task[n] + 5 * (here[n] - ahead[n]) for n in WEIGHTS})


# Hidden states: slot 0 the embedding, slot l the output of block l before any final norm
def slots(m, row):
    states, handles = [], []
    handles.append(m.model.embed_tokens.register_forward_hook(lambda m, x, y: states.append(y)))
    for block in m.model.layers:
        handles.append(
            block.register_forward_hook(
                lambda m, x, y: states.append(y[0] if isinstance(y, tuple) else y)
            )
        )
    m(input_ids=torch.tensor([row["tokens"]]), use_cache=False)
    for handle in handles:
        handle.remove()
    return [s.reshape(-1, s.shape[-1]) for s in states]


def all_slots(m, rows):
    return [torch.cat(s) for s in zip(*(slots(m, row) for row in rows))]


# Circuit breakers
progress = 1 / (2 * 4)
now, before = all_slots(model, HARM), all_slots(base, HARM)
rerouted = sum(F.cosine_similarity(now[s], before[s], dim=-1).relu().mean() for s in (1, 3)) / 2
now, before = all_slots(model, OWN), all_slots(base, OWN)
retained = sum((a - b).norm(dim=-1).mean() for a, b in zip(now, before)) / 4
loss = 10 * (1 - progress) * rerouted + 10 * progress * retained
keep("circuit", gradients(model, loss))


# RepNoise on two rows
def mmd(x, y):
    both = torch.cat([x, y])
    squared = ((both[None] - both[:, None]) ** 2).sum(-1)
    n = len(both)
    width = squared.detach().sum() / (n * n - n) / 2 ** (5 // 2)
    kernel = sum(torch.exp(-squared / (width * 2**i)) for i in range(5))
    h = len(x)
    return (kernel[:h, :h] + kernel[h:, h:] - kernel[:h, h:] - kernel[h:, :h]).mean()


few = HARM[:2]
mlp = [[] for _ in model.model.layers]
handles = [
    block.mlp.register_forward_hook(lambda m, x, y, i=i: mlp[i].append(y[0]))
    for i, block in enumerate(model.model.layers)
]
states = [slots(model, row)[1:] for row in few]
for handle in handles:
    handle.remove()
generator = torch.Generator().manual_seed(7)
distance = entropy = 0
labels = torch.cat([torch.tensor(r["tokens"][1:])[torch.tensor(r["target"][1:]).bool()] for r in few])
for l in range(3):
    pick = lambda parts: torch.cat(
        [p[:-1][torch.tensor(r["target"][1:]).bool()] for p, r in zip(parts, few)]
    )
    x = pick(mlp[l])
    noise = torch.randn(x.shape, generator=generator).float()
    out[f"noise/{l}"] = noise
    distance = distance + mmd(x, noise.double()) / 3
    lens = model.lm_head(model.model.norm(pick([s[l] for s in states])))
    entropy = entropy + F.cross_entropy(lens, labels) / 3
keep("repnoise", gradients(model, 0.5 * distance - torch.log(1 + entropy)))

# SafeLoRA, the aligned model being base
adapter = {
    n.removeprefix("base_model.model."): t.double()
    for n, t in load_file(ROOT / "adapter-all" / "adapter_model.safetensors").items()
}
modules = [n.removesuffix(".lora_A.weight") for n in adapter if n.endswith("lora_A.weight")]
aligned, unaligned = dict(base.named_parameters()), dict(model.named_parameters())
cosines, projected = {}, {}
for m in modules:
    v = (aligned[m + ".weight"] - unaligned[m + ".weight"]).detach()
    c = v @ v.T / v.norm()
    a, b = adapter[m + ".lora_A.weight"], adapter[m + ".lora_B.weight"]
    cosines[m] = ((c @ b @ a) * (b @ a)).sum() / ((c @ b @ a).norm() * (b @ a).norm())
    projected[m] = c @ b
low, high = sorted(cosines[m] for m in MODULES)
threshold = float((low + high) / 2)
for m in MODULES:
    kept = projected[m] if cosines[m] <= threshold else adapter[m + ".lora_B.weight"]
    out[f"safe_lora/{m}"] = kept.float()


# SaLoRA on base: outputs W x, without the bias, at the tokens of the answers
def inputs(m, rows, names, chosen):
    found, handles = {n: [] for n in names}, []
    for n in names:
        handles.append(
            m.get_submodule(n).register_forward_hook(
                lambda mod, x, y, n=n: found[n].append(x[0].reshape(-1, x[0].shape[-1]))
            )
        )
    for row in rows:
        m(input_ids=torch.tensor([row["tokens"]]), use_cache=False)
    for handle in handles:
        handle.remove()
    picks = [torch.tensor(r["target"]).bool() if chosen else slice(None) for r in rows]
    return {n: torch.cat([x[p] for x, p in zip(found[n], picks)]).detach() for n in names}


for m, x in inputs(base, HARM, MODULES, True).items():
    u = torch.linalg.svd(aligned[m + ".weight"] @ x.T, full_matrices=False).U[:, :8]
    out[f"sa_lora/{m}"] = (u @ u.T).float()


# Antidote
def pruned(weight, x, share):
    score = weight.abs() * x.norm(dim=0)
    count = int(share * weight.shape[1])
    kept = weight.detach().clone()
    for i in range(len(kept)):
        kept[i, score[i].argsort(descending=True)[:count]] = 0
    return kept.float()


for m, x in inputs(model, HARM, MODULES, False).items():
    out[f"antidote/{m}.weight"] = pruned(unaligned[m + ".weight"], x, 0.1)
adapted = PeftModel.from_pretrained(load("base"), ROOT / "adapter-all").to(torch.float64)
names = ["base_model.model." + m for m in MODULES]
for m, x in inputs(adapted, HARM, names, False).items():
    plain = m.removeprefix("base_model.model.")
    a, b = adapter[plain + ".lora_A.weight"], adapter[plain + ".lora_B.weight"]
    out[f"antidote/{plain}.a"] = pruned(a, x, 0.3)
    out[f"antidote/{plain}.b"] = pruned(b, x @ a.T, 0.3)

save_file(
    {n: t.detach().contiguous() for n, t in out.items()},
    ROOT / "baselines.safetensors",
    metadata={"safe_lora_threshold": repr(threshold)},
)
