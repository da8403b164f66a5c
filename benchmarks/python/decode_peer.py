"""The peer of `holdfast generate`: greedy decoding by `transformers`, for `benchmarks/decode`.

    python benchmarks/python/decode_peer.py prompts ...    # writes rows of random tokens
    python benchmarks/python/decode_peer.py run ...        # continues them, prints a line of JSON
    python benchmarks/python/decode_peer.py compare ...    # ratios of what both sides did

Like Holdfast it sorts the rows by length, pads a batch on the left and keeps a cache; its attention
is scaled-dot-product attention, its cache the one that `generate` takes by default.
"""

import argparse
import json
import random
import re
import statistics
import sys
import time


def write(arguments):
    draw = random.Random(0)
    with open(arguments.prompts, "w") as out:
        for i in range(arguments.rows):
            length = draw.randint(96, 160)
            row = {"id": i, "tokens": [draw.randrange(5, 1500) for _ in range(length)]}
            out.write(json.dumps(row) + "\n")


def run(arguments):
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=getattr(torch, arguments.dtype), attn_implementation="sdpa"
    ).eval()
    rows = sorted(map(json.loads, open(arguments.prompts)), key=lambda row: len(row["tokens"]))

    def continued(batch, new):
        width = max(len(row["tokens"]) for row in batch)
        ids = torch.tensor([[0] * (width - len(r["tokens"])) + r["tokens"] for r in batch])
        mask = torch.tensor(
            [[0] * (width - len(r["tokens"])) + [1] * len(r["tokens"]) for r in batch]
        )
        model.generation_config = GenerationConfig(
            do_sample=False, max_new_tokens=new, pad_token_id=0, use_cache=True
        )
        return model.generate(ids, attention_mask=mask)[:, width:].tolist()

    with torch.inference_mode():
        continued(rows[: arguments.batch], 4)
        answers = {}
        start = time.perf_counter()
        for i in range(0, len(rows), arguments.batch):
            batch = rows[i : i + arguments.batch]
            answers.update(zip((row["id"] for row in batch), continued(batch, arguments.new)))
        seconds = time.perf_counter() - start
    tokens = sum(map(len, answers.values()))
    print(json.dumps({"tokens_per_second": tokens / seconds, "answers": answers}))


def compare(arguments):
    ratios = []
    for name, peer in zip(arguments.answers[::2], arguments.answers[1::2]):
        ours = float(re.findall(r"([\d.]+) tokens/s", open(name + ".log").read())[-1])
        theirs = json.load(open(peer))
        rows = [json.loads(line) for line in open(name + ".jsonl")]
        if [len(row["tokens"]) for row in rows] != [arguments.new] * arguments.rows:
            sys.exit(f"{name}.jsonl: not {arguments.rows} answers of {arguments.new} tokens")
        same = sum(row["tokens"] == theirs["answers"][str(row["id"])] for row in rows)
        ratios.append(ours / theirs["tokens_per_second"])
        print(
            f"tokens/s: holdfast {ours:.1f}   transformers {theirs['tokens_per_second']:.1f}   "
            f"ratio {ratios[-1]:.3f}   equal answers {same} of {len(rows)}"
        )
    print(json.dumps({"ratio": round(statistics.median(ratios), 3), "pairs": len(ratios)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("prompts", "run", "compare"))
    parser.add_argument("--model")
    parser.add_argument("--prompts")
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--answers", nargs="*", default=[])
    arguments = parser.parse_args()
    {"prompts": write, "run": run, "compare": compare}[arguments.action](arguments)


if __name__ == "__main__":
    main()
