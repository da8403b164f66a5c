"""The rows of `./holdfast bench kernels` in PyTorch's operations: the same kernels, dtypes and sizes.

    python3 benchmarks/kernels/pytorch.py [--quick] [--threads N]

Prints CSV with the columns kernel, dtype, size, seconds. Wants an idle machine.
"""

import argparse
import math
import statistics
import time

import torch

FULL = dict(rows=4096, d=4096, ranks=[1, 8, 16, 64], logits=256, vocabulary=128256,
            tensors=[(1, 1 << 25), (448, 1 << 16)], budget=0.5)
QUICK = dict(rows=256, d=512, ranks=[8, 16], logits=8, vocabulary=8192,
             tensors=[(16, 4096)], budget=0.01)


def median(work, budget):
    work()
    runs = []
    while len(runs) < 5 or sum(runs) < budget:
        start = time.perf_counter()
        work()
        runs.append(time.perf_counter() - start)
    return statistics.median(runs)


def report(kernel, dtype, size, work, budget):
    name = str(dtype).removeprefix("torch.")
    print(f'{kernel},{name},"{size}",{median(work, budget):.6g}', flush=True)


def subspace(sizes, dtype, k):
    n, d = sizes["rows"], sizes["d"]
    size = f"{n} x {d}, k {k}"
    h, g = torch.randn(n, d).to(dtype), torch.randn(n, d).to(dtype)
    u = (torch.randn(d, k) * 0.01 / math.sqrt(d)).to(dtype)
    c, w = torch.randn(n, k).to(dtype), torch.rand(n, 1).to(dtype)
    report("project", dtype, size, lambda: h @ u, sizes["budget"])
    report("ablate", dtype, size, lambda: h.sub_((h @ u) @ u.T), sizes["budget"])
    report("constrain", dtype, size,
           lambda: g.add_(((h @ u - c - g @ u) * w) @ u.T), sizes["budget"])


def rows(sizes, dtype):
    n, v = sizes["logits"], sizes["vocabulary"]
    z, r = (3 * torch.randn(n, v)).to(dtype), (3 * torch.randn(n, v)).to(dtype)
    labels, w = torch.zeros(n, 1, dtype=torch.int64), torch.rand(n, 1).to(dtype)

    def gradient(reverse):
        log_p, log_q = z.log_softmax(1), r.log_softmax(1)
        p, q = log_p.exp(), log_q.exp()
        cross_entropy = p.scatter_add(1, labels, -torch.ones_like(w))
        log_p.gather(1, labels).neg()
        if reverse:
            ratio = log_p - log_q
            divergence = (p * ratio).sum(1, keepdim=True)
            z.copy_(w * cross_entropy + w * p * (ratio - divergence))
        else:
            (q * (log_q - log_p)).sum(1)
            z.copy_(w * cross_entropy + w * (p - q))

    size = f"{n} x {v}"
    report("ce+kl forward", dtype, size, lambda: gradient(False), sizes["budget"])
    report("ce+kl reverse", dtype, size, lambda: gradient(True), sizes["budget"])


def block(sizes, dtype):
    n, d, head = sizes["rows"], sizes["d"], min(128, sizes["d"])
    size = f"{n} x {d}"
    x, g, b = (torch.randn(n, d).to(dtype) for _ in range(3))
    w = torch.randn(d).to(dtype)
    scale = x.float().square().mean(1, keepdim=True).add(1e-6).rsqrt().to(dtype)
    angles = torch.rand(n, 1, head)
    cos, sin, heads = angles.cos().to(dtype), angles.sin().to(dtype), x.view(n, -1, head)

    def norm_back():
        normed, along = x * scale, g * w
        (g * normed).sum(0)
        return (along - normed * (along * normed).mean(1, keepdim=True)) * scale

    def report_one(kernel, work):
        report(kernel, dtype, size, work, sizes["budget"])

    report_one("rms norm", lambda: torch.nn.functional.rms_norm(x, (d,), w, 1e-6))
    report_one("rms norm back", norm_back)
    report_one("rotate", lambda: heads * cos + heads.roll(head // 2, -1) * sin)
    report_one("rotate back", lambda: heads * cos + (heads * sin).roll(head // 2, -1))
    report_one("gate", lambda: torch.nn.functional.silu(x) * b)
    report_one("gate back", lambda: (torch.ops.aten.silu_backward(g * b, x),
                                     g * torch.nn.functional.silu(x)))


def update(sizes, dtype, count, elements):
    size = f"{count} x {elements}"
    masters = [torch.randn(elements) for _ in range(count)]
    parameters = [m if dtype == torch.float32 else m.to(dtype) for m in masters]
    gradients = [torch.randn(elements).to(dtype) for _ in range(count)]
    for master in masters:
        master.grad = torch.zeros(elements)
    optimizer = torch.optim.AdamW(masters, lr=1e-6, weight_decay=0.01, fused=True)

    def step():
        for master, gradient in zip(masters, gradients):
            master.grad = gradient.float()
        optimizer.step()
        if dtype != torch.float32:
            for parameter, master in zip(parameters, masters):
                parameter.copy_(master)

    report("adamw", dtype, size, step, sizes["budget"])
    report("norm", dtype, size, lambda: torch.nn.utils.get_total_norm(gradients).item(),
           sizes["budget"])


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = QUICK if arguments.quick else FULL
    print(f"# PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print("kernel,dtype,size,seconds")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for k in sizes["ranks"]:
            subspace(sizes, dtype, k)
        rows(sizes, dtype)
        block(sizes, dtype)
        for count, elements in sizes["tensors"]:
            update(sizes, dtype, count, elements)


if __name__ == "__main__":
    main()
