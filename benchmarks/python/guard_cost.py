"""The rows and the table of `benchmarks/guards`.

    python benchmarks/python/guard_cost.py rows ROWS.jsonl DIR
    python benchmarks/python/guard_cost.py ratios DIR ROUNDS SKIP

`rows` writes DIR/risky.jsonl with risk_0, risk_0.1, risk_0.5 and risk_1: that share of the rows, spread
evenly, has risk 1 and the others 0; and the prompts of 128 rows as harmful.jsonl and benign.jsonl by
turns. `ratios` reads the metrics of the runs DIR/ARM-ROUND, leaves out the first SKIP
steps of each, and fails where an arm did not train on the tokens that plain training did, or where
the reference computed other rows than the share says.
"""

import json
import statistics
import sys


def fast(seconds):
    """The mean of the fastest quarter: what other work on the machine does to a step only adds."""
    best = sorted(seconds)[: max(1, len(seconds) // 4)]
    return sum(best) / len(best)


SHARES = ("0", "0.1", "0.5", "1")
ARMS = [f"live-{share}" for share in SHARES]
ARMS += ["cached-1", "subspace", "answers", "hard", "both"]


def rows(source, folder):
    lines = open(source).readlines()
    for turn, name in enumerate(("harmful", "benign")):
        with open(f"{folder}/{name}.jsonl", "w") as out:
            for line in lines[turn:128:2]:
                out.write(json.dumps({"messages": json.loads(line)["messages"][:1]}) + "\n")
    with open(f"{folder}/risky.jsonl", "w") as out:
        for number, line in enumerate(lines):
            row = json.loads(line)
            for share in SHARES:
                # The share's multiple passes a whole number at evenly spread rows.
                before, after = int(number * float(share)), int((number + 1) * float(share))
                row["risk_" + share] = after - before
            out.write(json.dumps(row) + "\n")


def steps(folder, name, skip):
    """Seconds and tokens of each step, rows of the reference in one, and the hooks' share of all."""
    lines = [json.loads(line) for line in open(f"{folder}/{name}/metrics.jsonl")][skip:]
    seconds = [line["tokens"] / line["tokens_per_second"] for line in lines]
    return (
        seconds,
        [line["tokens"] for line in lines],
        sum(line.get("reference_rows", 0) for line in lines) / len(lines),
        sum(line.get("subspace_seconds", 0) for line in lines) / sum(seconds),
    )


def ratios(folder, rounds, skip):
    print(f"{'arm':10} {'ms a step':>10} {'ratio':>7}   ratios            reference rows a step, share in hooks")
    plain = [steps(folder, f"plain-{n}", skip) for n in range(1, rounds + 1)]
    print(f"{'plain':10} {1e3 * fast([s for p in plain for s in p[0]]):10.1f}")
    for arm in ARMS:
        found = [steps(folder, f"{arm}-{n}", skip) for n in range(1, rounds + 1)]
        for own, base in zip(found, plain):
            if own[1] != base[1]:
                sys.exit(f"{arm} has trained on other tokens than plain training")
        each = [
            fast(own[0]) / fast(base[0])
            for own, base in zip(found, plain)
        ]
        needed = found[0][2]
        if (arm.startswith("live-") and arm != "live-0") != (needed > 0):
            sys.exit(f"{arm}: the reference computed {needed} rows a step")
        print(
            f"{arm:10} {1e3 * fast([s for f in found for s in f[0]]):10.1f}"
            f" {statistics.median(each):7.3f}   "
            f"{' '.join(f'{ratio:.3f}' for ratio in each):17} {needed:4.1f}"
            f" {statistics.median(own[3] for own in found):7.2%}"
        )


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "rows":
        rows(*arguments)
    else:
        ratios(arguments[0], int(arguments[1]), int(arguments[2]))
