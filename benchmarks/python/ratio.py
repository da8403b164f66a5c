"""Compares the runs of `benchmarks/train`: pairs of our metrics and the peer's line of JSON.

    python benchmarks/python/ratio.py SKIP METRICS.jsonl PEER.json [METRICS.jsonl PEER.json]...

The first SKIP steps of every run are left out. Both sides are checked to have done the same work:
as many tokens in every step, and the same loss at the first. Ends with exit code 1 where not.
"""

import json
import statistics
import sys


def ours(file):
    """Loss, tokens and seconds of each step from metrics.jsonl."""
    steps = [json.loads(line) for line in open(file)]
    seconds = [s["tokens"] / s["tokens_per_second"] for s in steps]
    return [s["loss"] for s in steps], [s["tokens"] for s in steps], seconds


def main(skip, *files):
    skip, pairs = int(skip), []
    for metrics, peer in zip(files[::2], files[1::2]):
        loss, tokens, seconds = ours(metrics)
        other = json.load(open(peer))
        if tokens not in (other["tokens"], other["supervised"]):
            sys.exit(f"not the same rows: {metrics} {tokens[:3]}, {peer} {other['tokens'][:3]}")
        if abs(loss[0] - other["loss"][0]) > 1e-3:
            sys.exit(f"not the same first loss: {metrics} {loss[0]}, {peer} {other['loss'][0]}")
        work = sum(other["tokens"][skip:])
        pairs.append((work / sum(seconds[skip:]), other["tokens_per_second"]))
    for mine, theirs in pairs:
        ratio = f"ratio {mine / theirs:.3f}"
        print(f"tokens/s: holdfast {mine:.1f}   transformers {theirs:.1f}   {ratio}")
    ratios = [mine / theirs for mine, theirs in pairs]
    print(json.dumps({"ratio": round(statistics.median(ratios), 3), "pairs": len(pairs)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
