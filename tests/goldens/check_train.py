"""Checks the guarded traces against closed forms: no loss is built here, its gradient is written
where backpropagation passes.

    python tests/goldens/check_train.py

At the logits of a supervised token, with a and b the weights of CE and KL:
    a (p - onehot) + b (p - p_ref)
At the output H of a guarded block, G being the gradient that arrives there:
    G <- G - filter (G U) U^T + weight (H U - C) U^T
Prints the largest difference of the first step's gradients and ends with exit code 1 where one
exceeds 1e-5 of the largest gradient.
"""

import json
import sys

import torch
from safetensors.torch import load_file

from train import GUARDED, ROOT, TRACES, blocks, collate, load


def first_gradients(s):
    basis = load_file(ROOT / "basis.safetensors")
    model, reference = load(s.model, "eager"), load(s.reference, "eager")
    rows = [json.loads(line) for line in (ROOT / "rows.jsonl").read_text().splitlines()]
    tokens, mask, target, guard, risk = collate(rows[: s.micro_batch * s.accumulation])
    supervised, watched = target.sum(), guard.sum() * len(GUARDED)
    coefficients = {}
    for l in GUARDED:
        u = basis[f"layer.{l}"]
        blocks(reference)[l - 1].register_forward_hook(
            lambda m, i, h, l=l, u=u: coefficients.update({l: h @ u})
        )
    with torch.no_grad():
        q = reference(tokens, attention_mask=mask, use_cache=False).logits.softmax(-1)
    weight = s.guard_weight / watched * (risk if s.guard_by_risk else 1.0) * guard
    for l in GUARDED:
        u, c = basis[f"layer.{l}"], coefficients[l]

        def edit(m, i, h, u=u, c=c):
            at = (s.guard_filter * guard.float())[..., None]
            h.register_hook(
                lambda g: g - at * (g @ u) @ u.T + weight[..., None] * (h.detach() @ u - c) @ u.T
            )

        blocks(model)[l - 1].register_forward_hook(edit)
    logits = model(tokens, attention_mask=mask, use_cache=False).logits
    with torch.no_grad():
        following = torch.roll(tokens, -1, 1)
        at = torch.roll(target, -1, 1).float() / supervised
        b = (0.1 + 0.8 * risk if s.kl else torch.zeros_like(risk)) * at
        p = logits.softmax(-1)
        onehot = torch.nn.functional.one_hot(following, p.shape[-1])
        gradient = (at - b)[..., None] * (p - onehot) + b[..., None] * (p - q)
    logits.backward(gradient)
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def main():
    torch.set_num_threads(1)
    failed = False
    for name in ("kl", "subspace", "subspace-filter", "both"):
        golden = load_file(ROOT / name / "first_gradients.safetensors")
        gradients = first_gradients(TRACES[name])
        size = max(g.abs().max() for g in golden.values())
        worst = max((golden[k] - gradients[k]).abs().max() for k in golden)
        print(f"{name}: largest gradient {size:.3f}, largest difference {worst:.2e}")
        failed |= bool(worst > 1e-5 * size)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
