"""Golden files for trained refusal directions (Wollschläger et al. 2025): their loss, its gradient
and three steps down it, with `transformers`, PyTorch's autograd and its AdamW.

    python tests/goldens/cones.py              # after model.py, whose models it uses

For each model, in `tests/goldens/geometry/`:

cone-<model>.json          `slot`, `length` of additions, `rows` ({ablated, added, retained}, each
                           {prompt, answer} of ids), `points` ([3][n][k]: the combinations of basis
                           vectors whose losses a step counts, `shares` what each counts), `lr`,
                           `terms` ([n][3] at the first step: ablation, addition, retain)
cone-<model>.safetensors   `basis/0..3` [k, d]  before each step and after the last
                           `gradient`   [k, d]  of the first step's weighted sum

Rows go through the model one at a time, without padding.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from geometry import Hooks
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent
MODELS = {"llama-gqa": 2, "gemma2": 1}
RANK, ROWS, STEPS, LR, LENGTH = 2, 3, 3, 1e-2, 1.5
WEIGHTS = (1.0, 0.2, 1.0)


def logits(model, row, hook=None, edit=None):
    """From the last token of the prompt on."""
    if hook:
        hook(edit)
    out = model(torch.tensor([row["prompt"] + row["answer"]])).logits[0, len(row["prompt"]) - 1 :]
    return out.double()


def terms(model, hooks, slot, direction, row):
    u = direction / direction.norm()
    remove = lambda h: h - (h @ u)[..., None] * u
    everywhere = lambda edit: hooks.everywhere(edit)
    at_slot = lambda edit: hooks.inputs(slot, edit)
    found = []
    for name, hook, edit in (
        ("ablated", everywhere, remove),
        ("added", at_slot, lambda h: h + LENGTH * u),
    ):
        z = logits(model, row[name], hook, edit)[:-1]
        found.append(F.cross_entropy(z, torch.tensor(row[name]["answer"])))
        hooks.remove()
    with torch.no_grad():
        usual = logits(model, row["retained"])
    z = logits(model, row["retained"], everywhere, remove)
    hooks.remove()
    # As the authors' code has it: KL(ablated || unedited), summed over the tokens of a row.
    found.append(F.kl_div(usual.log_softmax(-1), z.softmax(-1), reduction="sum"))
    return torch.stack(found)


def orthonormal(basis):
    with torch.no_grad():
        for i in range(RANK):
            for j in range(i):
                basis[i].sub_(basis[i].dot(basis[j]) * basis[j])
            basis[i].div_(basis[i].norm())


def make(name, slot):
    model = AutoModelForCausalLM.from_pretrained(ROOT / "model" / name, attn_implementation="eager")
    model.eval().requires_grad_(False)
    hooks = Hooks(model, name == "gemma2")
    g = torch.Generator().manual_seed(11)
    draw = lambda low, high: int(torch.randint(low, high, (1,), generator=g))
    tokens = lambda n: torch.randint(3, model.config.vocab_size, (n,), generator=g).tolist()
    rows = []
    for _ in range(ROWS):
        part = lambda: {"prompt": tokens(draw(3, 9)), "answer": tokens(draw(2, 7))}
        rows.append({"ablated": part(), "added": part(), "retained": part()})
    basis = torch.nn.Parameter(torch.randn(RANK, model.config.hidden_size, generator=g))
    orthonormal(basis)
    random = torch.randn(STEPS, 2, RANK, generator=g).abs()
    random = random / random.norm(dim=-1, keepdim=True)
    points = torch.cat([torch.eye(RANK).expand(STEPS, RANK, RANK), random], 1)
    shares = [0.5] * 4
    optimizer = torch.optim.AdamW([basis], lr=LR, betas=(0.9, 0.98), weight_decay=0, amsgrad=True)
    tensors = {"basis/0": basis.detach().clone()}
    for step in range(STEPS):
        optimizer.zero_grad()
        first = []
        for share, point in zip(shares, points[step]):
            mean = torch.stack([terms(model, hooks, slot, point @ basis, r) for r in rows]).mean(0)
            first.append(mean.tolist())
            (share * (mean * torch.tensor(WEIGHTS)).sum()).backward()
        if step == 0:
            tensors["gradient"], found = basis.grad.clone(), first
        with torch.no_grad():
            basis.grad -= (basis.grad * basis).sum(1, keepdim=True) * basis
        torch.nn.utils.clip_grad_norm_([basis], 10.0)
        optimizer.step()
        orthonormal(basis)
        tensors[f"basis/{step + 1}"] = basis.detach().clone()
    out = ROOT / "geometry"
    save_file({k: t.float().contiguous() for k, t in tensors.items()}, out / f"cone-{name}.safetensors")
    about = dict(slot=slot, length=LENGTH, lr=LR, rows=rows, shares=shares, terms=found)
    about["points"] = points.tolist()
    (out / f"cone-{name}.json").write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    for name, slot in MODELS.items():
        make(name, slot)
