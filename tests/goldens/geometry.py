"""Golden files for safety geometry: carriers, subspaces, refusal scores and edited logits, computed
with `transformers`, PyTorch and forward hooks alone.

    python tests/goldens/geometry.py            # after model.py, whose models it uses

For each model, in `tests/goldens/geometry/`:

<model>.json          prompts (8 "harmful", 8 "benign", the last 3 tokens being the template's),
                      refusal tokens, slot of the direction, and per edit the greedy continuations
<model>.safetensors   `harm`, `refusal`   [L+1, d]  differences of means at the last instruction
                                                    token and at the last token
                      `projector`         [d, d]    on the rank-3 subspace at the slot: the mean
                                                    difference, then the leading right singular
                                                    vectors of what of the differences lies outside
                      `scores/<edit>`     [16]      refusal score after each prompt
                      `kl/<edit>`         [16]      KL(unedited || edited) of the next token
                      `logits/<edit>`     [16, V]   logits after each prompt

Edits: `none`; `ablate` (the direction, at every block input, attention and MLP output, all tokens);
`ablate3` (the subspace); `template` (the direction, template tokens alone); `match` (the
embedding and what attention and MLP add go as far along the first axis); `add` (the difference at the
slot, all tokens), `add-end` (half of it taken away at the last prompt token); `centre` (every later
slot's own direction set to the benign mean, template tokens); `orthogonal` (no hooks: every writer's
weights orthogonal to the direction, the head of a tied model kept).

`interference` in the .json of the plain models, of the first prompts as a task and the last as
refusals, each prompt's last three tokens being its answer: `states`, the share of the task's gradient
by the states at the slot that lies in the subspace, times d/3; `cosine` of the gradients of both by
all weights.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent
MODELS = {"llama-gqa": 2, "llama3-rope": 1, "gemma": 1, "gemma2": 2}
SUFFIX, NEW, PLAIN = 3, 5, ("llama-gqa", "llama3-rope", "gemma")


class Hooks:
    """Edits at the input of blocks, and at what attention and MLP add."""

    def __init__(self, model, sandwich):
        self.model, self.sandwich, self.handles = model, sandwich, []

    def inputs(self, slot, edit):
        def hook(module, args, kwargs):
            if args:
                return (edit(args[0]),) + args[1:], kwargs
            return args, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}

        block = self.model.model.layers[slot]
        self.handles.append(block.register_forward_pre_hook(hook, with_kwargs=True))

    def added(self, edit):
        def hook(module, args, out):
            return (edit(out[0]),) + out[1:] if isinstance(out, tuple) else edit(out)

        for block in self.model.model.layers:
            if self.sandwich:
                modules = block.post_attention_layernorm, block.post_feedforward_layernorm
            else:
                modules = block.self_attn, block.mlp
            for module in modules:
                self.handles.append(module.register_forward_hook(hook))

    def everywhere(self, edit):
        for slot in range(len(self.model.model.layers)):
            self.inputs(slot, edit)
        self.added(edit)

    def remove(self):
        [handle.remove() for handle in self.handles]
        self.handles = []


def states(model, prompt):
    """[L+1, n, d]: the residual stream, the last slot before the final norm."""
    seen = {}
    handle = model.model.norm.register_forward_pre_hook(lambda m, a: seen.update(last=a[0]))
    out = model(torch.tensor([prompt]), output_hidden_states=True)
    handle.remove()
    return torch.stack([h[0] for h in out.hidden_states[:-1]] + [seen["last"][0]])


def run(model, prompts, tokens):
    logits, texts, scores = [], [], []
    for prompt in prompts:
        model.prompt_length = len(prompt)
        ids = list(prompt)
        for step in range(NEW):
            z = model(torch.tensor([ids])).logits[0, -1]
            if step == 0:
                logits.append(z)
                p = z.double().softmax(0)[tokens].sum()
                scores.append((p + 1e-8).log() - (1 - p + 1e-8).log())
            ids.append(int(z.argmax()))
        texts.append(ids[len(prompt) :])
    return torch.stack(logits), torch.stack(scores), texts


def at(model, first, last, edit):
    """Only tokens first..last-1, counted from the end of the prompt."""

    def limited(h):
        n, h = model.prompt_length, h.clone()
        h[:, n + first : n + last] = edit(h[:, n + first : n + last])
        return h

    return limited


def orthogonal(model, r):
    if model.config.tie_word_embeddings:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    embedding = model.model.embed_tokens.weight
    embedding -= torch.outer(embedding @ r, r)
    for block in model.model.layers:
        for module in block.self_attn.o_proj, block.mlp.down_proj:
            module.weight -= torch.outer(r, r @ module.weight)
            if module.bias is not None:
                module.bias -= r * (r @ module.bias)


def summed(model, rows):
    """Cross entropy of the last tokens of each row."""
    total = 0
    for row in rows:
        logits = model(torch.tensor([row])).logits[0, -SUFFIX - 1 : -1]
        total = total + torch.nn.functional.cross_entropy(
            logits, torch.tensor(row[-SUFFIX:]), reduction="sum"
        )
    return total


@torch.enable_grad()
def interference(model, slot, task, refusals, basis):
    scale = basis.shape[1] / basis.shape[0]
    inside = whole = 0
    for row in task:
        seen = {}

        def keep(module, args, kwargs):
            seen["h"] = args[0] if args else kwargs["hidden_states"]
            seen["h"].retain_grad()

        handle = model.model.layers[slot].register_forward_pre_hook(keep, with_kwargs=True)
        summed(model, [row]).backward()
        handle.remove()
        g = seen["h"].grad[0, -SUFFIX - 1 : -1].double()
        inside, whole = inside + (g @ basis.T).square().sum(), whole + g.square().sum()
    gradients = []
    for rows in task, refusals:
        found = torch.autograd.grad(summed(model, rows), list(model.parameters()))
        gradients.append(torch.cat([g.flatten().double() for g in found]))
    return dict(
        states=float(inside / whole * scale),
        cosine=float(torch.nn.functional.cosine_similarity(*gradients, dim=0)),
    )


@torch.no_grad()
def make(name, slot):
    def load():
        return AutoModelForCausalLM.from_pretrained(ROOT / "model" / name, attn_implementation="eager")

    model = load().eval()
    generator = torch.Generator().manual_seed(7)
    vocabulary, depth = model.config.vocab_size, model.config.num_hidden_layers
    suffix = [5, 9, 4]
    prompts = []
    for i in range(16):
        length = 4 + int(torch.randint(0, 6, (1,), generator=generator))
        low, high = (10, vocabulary // 2 + 10) if i < 8 else (vocabulary // 2 - 10, vocabulary)
        prompts.append(torch.randint(low, high, (length,), generator=generator).tolist() + suffix)
    tokens = [3, 11, 17]

    all_states = [states(model, p) for p in prompts]
    inst = torch.stack([s[:, -SUFFIX - 1] for s in all_states]).double()  # [16, L+1, d]
    post = torch.stack([s[:, -1] for s in all_states]).double()
    harm = inst[:8].mean(0) - inst[8:].mean(0)
    refusal = post[:8].mean(0) - post[8:].mean(0)

    mean = refusal[slot] / refusal[slot].norm()
    differences = post[:8, slot] - post[8:, slot].mean(0)
    outside = differences - torch.outer(differences @ mean, mean)
    basis = torch.stack([mean, *torch.linalg.svd(outside, full_matrices=False).Vh[:2]])
    basis = torch.linalg.qr(basis.T).Q.T
    projector = basis.T @ basis

    r, b = mean.float(), basis.float()
    v = refusal[slot].float()
    axis = torch.zeros_like(r)
    axis[0] = 1
    units = [(d / d.norm()).float() for d in refusal]
    benign = [m.float() for m in post[8:].mean(0)]
    ablate = lambda h: h - torch.outer((h @ r).flatten(), r).view_as(h)
    hooks = Hooks(model, name == "gemma2")
    tensors = dict(harm=harm, refusal=refusal, projector=projector)
    texts = {}
    about = dict(prompts=prompts, suffix=SUFFIX, tokens=tokens, slot=slot, texts=texts)

    def record(edit, used=model):
        logits, scores, texts[edit] = run(used, prompts, tokens)
        tensors["logits/" + edit], tensors["scores/" + edit] = logits.clone(), scores
        p, q = tensors["logits/none"].double().softmax(1), logits.double().softmax(1)
        tensors["kl/" + edit] = (p * ((p + 1e-6).log() - (q + 1e-6).log())).sum(1)
        hooks.remove()

    record("none")
    hooks.everywhere(ablate)
    record("ablate")
    hooks.everywhere(lambda h: h - h @ b.T @ b)
    record("ablate3")
    hooks.everywhere(at(model, -SUFFIX, 0, ablate))
    record("template")
    move = lambda h: h - (h @ r)[..., None] * axis
    hooks.inputs(0, move)
    hooks.added(move)
    record("match")
    hooks.inputs(slot, lambda h: h + v)
    record("add")
    hooks.inputs(slot, at(model, -1, 0, lambda h: h - 0.5 * v))
    record("add-end")
    for s in range(1, depth):  # at slot 0 the same token looks the same in both classes
        u, c = units[s], benign[s]
        hooks.inputs(
            s, at(model, -SUFFIX, 0, lambda h, u=u, c=c: h - ((h @ u) - (c @ u))[..., None] * u)
        )
    record("centre")
    if name in PLAIN:
        changed = load().eval()
        orthogonal(changed, r)
        record("orthogonal", changed)
        about["interference"] = interference(model, slot, prompts[:4], prompts[12:], basis)

    out = ROOT / "geometry"
    out.mkdir(exist_ok=True)
    save_file({k: t.float().contiguous() for k, t in tensors.items()}, out / f"{name}.safetensors")
    (out / f"{name}.json").write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    for name, slot in MODELS.items():
        make(name, slot)
