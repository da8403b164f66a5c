"""The prompts and the table of `benchmarks/guard`.

    python benchmarks/python/guard_share.py prompts DIR
    python benchmarks/python/guard_share.py share DIR SKIP

`prompts` writes two kinds of random prompts, DIR/one.jsonl and DIR/other.jsonl, for a subspace to be
fitted from. `share` reads the metrics of the runs DIR/answer-*, without the first SKIP steps of each.
"""

import json
import random
import statistics
import string
import sys
from pathlib import Path


def prompts(folder):
    draw = random.Random(0)
    for name, letters in (("one", string.ascii_lowercase), ("other", string.digits)):
        with open(f"{folder}/{name}.jsonl", "w") as out:
            for _ in range(64):
                text = "".join(draw.choice(letters + " ") for _ in range(23)) + "."
                row = {"messages": [{"role": "user", "content": text}]}
                out.write(json.dumps(row) + "\n")


def share(folder, skip):
    print(f"{'answer tokens held':>18} {'ms a step':>10} {'ms in hooks':>12} {'share':>8}")
    for run in sorted(Path(folder).glob("answer-*/metrics.jsonl"), key=lambda f: len(str(f))):
        lines = [json.loads(line) for line in open(run)][skip:]
        step = [line["tokens"] / line["tokens_per_second"] for line in lines]
        hooks = [line["subspace_seconds"] for line in lines]
        held = run.parent.name.removeprefix("answer-")
        print(
            f"{held:>18} {1e3 * statistics.median(step):10.1f}"
            f" {1e3 * statistics.median(hooks):12.2f} {100 * sum(hooks) / sum(step):6.2f} %"
        )


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "prompts":
        prompts(*arguments)
    else:
        share(arguments[0], int(arguments[1]))
