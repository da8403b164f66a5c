"""Goldens of the attacks: attack/<model>.safetensors and attack/<model>.json.

For two of the models of model.py, plain PyTorch on transformers' own forward pass computes, without
any cache and from whole sequences,

- the gradient of the target's loss by one-hot vectors of the string, through an actual product of
  these with the embedding matrix: cross entropy and mellowmax;
- the loss of candidates that differ from the string in one token each, and of others;
- R2D2's losses of one batch, away, toward and clean, and the gradient of their weighted sum by
  three weights.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parent
MODELS = {"llama-gqa": "model.layers.1.self_attn.q_proj.weight", "gemma2": "model.layers.3.mlp.down_proj.weight"}
ALPHA = 1.7
AWAY_FLOOR = -5.0


def mellowmax(x, alpha):
    n = torch.tensor(float(x.shape[-1]))
    return (torch.logsumexp(alpha * x, -1) - torch.log(n)) / alpha


def target_logits(model, embedded, target):
    logits = model(inputs_embeds=embedded, use_cache=False).logits
    return logits[:, -len(target) - 1 : -1]


def embed(model, one_hot):
    """What the model computes with: Gemma's embedding scales what it looks up."""
    embedding = model.get_input_embeddings()
    return (one_hot @ embedding.weight) * getattr(embedding, "embed_scale", 1.0)


def case(model, generator):
    vocabulary = model.config.vocab_size
    draw = lambda n: torch.randint(4, vocabulary, (n,), generator=generator).tolist()
    before, string, after, target = draw(9), draw(6), draw(3), draw(5)
    candidates = []
    for position in (0, 2, 5, 3, 2, 0):
        changed = list(string)
        changed[position] = draw(1)[0]
        candidates.append(changed)
    candidates += [draw(6), draw(4), draw(8), list(string)]
    return dict(before=before, string=string, after=after, target=target, candidates=candidates)


def losses(logits, target):
    target = torch.tensor(target).expand(logits.shape[0], -1)
    ce = F.cross_entropy(logits.transpose(1, 2), target, reduction="none").mean(1)
    chosen = logits.gather(2, target[..., None])[..., 0]
    return {"ce": ce, "mellowmax": mellowmax(-chosen, ALPHA)}


def gcg(model, c):
    out = {}
    for kind in ("ce", "mellowmax"):
        ids = torch.tensor(c["before"] + c["string"] + c["after"] + c["target"])
        one_hot = F.one_hot(ids, model.get_input_embeddings().weight.shape[0]).float()
        lead = len(c["before"])
        string = one_hot[lead : lead + len(c["string"])].clone().requires_grad_(True)
        whole = torch.cat([one_hot[:lead], string, one_hot[lead + len(string) :]])
        loss = losses(target_logits(model, embed(model, whole)[None], c["target"]), c["target"])[kind]
        (out[f"gradient/{kind}"],) = torch.autograd.grad(loss.sum(), string)
    with torch.no_grad():
        rows = []
        for candidate in c["candidates"]:
            ids = torch.tensor([c["before"] + candidate + c["after"] + c["target"]])
            logits = model(input_ids=ids, use_cache=False).logits[:, -len(c["target"]) - 1 : -1]
            rows.append(losses(logits, c["target"]))
        for kind in ("ce", "mellowmax"):
            out[f"losses/{kind}"] = torch.cat([row[kind] for row in rows])
    return out


def r2d2(model, generator, weight):
    vocabulary = model.config.vocab_size
    draw = lambda n: torch.randint(4, vocabulary, (n,), generator=generator).tolist()
    rows = {part: [dict(prompt=draw(p), answer=draw(a)) for p, a in sizes] for part, sizes in
            {"away": ((11, 4), (7, 6)), "toward": ((11, 3), (7, 5)), "clean": ((6, 9), (8, 2))}.items()}
    # An away token that the model is nearly sure of: its own arg-max, sharpened below by nothing.
    with torch.no_grad():
        best = model(input_ids=torch.tensor([rows["away"][0]["prompt"]])).logits[0, -1].argmax()
    rows["away"][0]["answer"][0] = int(best)
    totals = {}
    for part, some in rows.items():
        values, count = 0.0, 0
        for row in some:
            ids = torch.tensor([row["prompt"] + row["answer"]])
            n = len(row["answer"])
            z = model(input_ids=ids, use_cache=False).logits[0, -n - 1 : -1]
            y = torch.tensor(row["answer"])
            if part == "away":
                log_p = z.log_softmax(-1).gather(1, y[:, None])[:, 0]
                without = z.scatter(1, y[:, None], float("-inf"))
                log_not = without.logsumexp(-1) - z.logsumexp(-1)
                values = values - (log_not * (log_p.detach() >= AWAY_FLOOR)).sum()
            else:
                values = values + F.cross_entropy(z, y, reduction="sum")
            count += n
        totals[part] = values / count
    total = totals["clean"] + 0.5 * totals["away"] + 0.5 * totals["toward"]
    names = [weight, "model.norm.weight", "model.embed_tokens.weight"]
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(total, [parameters[name] for name in names])
    out = {f"r2d2/{part}": value.detach() for part, value in totals.items()}
    out.update({f"r2d2/gradient/{name}": g for name, g in zip(names, gradients)})
    return rows, out


def main():
    torch.set_num_threads(1)
    (ROOT / "attack").mkdir(exist_ok=True)
    for seed, (name, weight) in enumerate(MODELS.items()):
        model = AutoModelForCausalLM.from_pretrained(
            ROOT / "model" / name, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        generator = torch.Generator().manual_seed(100 + seed)
        c = case(model, generator)
        tensors = gcg(model, c)
        rows, more = r2d2(model, generator, weight)
        tensors.update(more)
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, ROOT / "attack" / f"{name}.safetensors")
        c.update(alpha=ALPHA, r2d2=rows)
        (ROOT / "attack" / f"{name}.json").write_text(json.dumps(c, indent=1) + "\n")
        print(name, {k: v.tolist() for k, v in tensors.items() if v.numel() < 12})


if __name__ == "__main__":
    main()
