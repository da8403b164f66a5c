"""Measures what `benchmarks/load` prints; see there.

    python benchmarks/python/load.py --layers 16 --runs 3

The checkpoint is a Llama with random weights, hidden size 2048, in one file.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

WORK = Path("target/benchmarks/load")


def make(layers):
    """The folders `big` and `small`, with one tokenizer."""
    import torch
    from make_llama import write_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    shapes = {
        f"big-{layers}": dict(hidden_size=2048, intermediate_size=8192, num_attention_heads=16)
        | dict(num_hidden_layers=layers),
        "small": dict(hidden_size=32, intermediate_size=64, num_attention_heads=2)
        | dict(num_hidden_layers=1),
    }
    for name, shape in shapes.items():
        folder = WORK / name
        if (folder / "tokenizer.json").exists():
            continue
        config = LlamaConfig(**shape, vocab_size=32000, tie_word_embeddings=True, pad_token_id=0)
        with torch.device("meta"):
            model = LlamaForCausalLM(config)
        model = model.to(torch.bfloat16).to_empty(device="cpu")
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.02) if parameter.dim() > 1 else parameter.data.fill_(1)
        model.tie_weights()
        model.save_pretrained(folder, max_shard_size="100GB")
        write_tokenizer(folder)


def read(file, cold):
    """Seconds to read a file from start to end."""
    with open(file, "rb", buffering=0) as data:
        if cold:
            os.posix_fadvise(data.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        buffer = bytearray(1 << 22)
        start = time.perf_counter()
        while data.readinto(buffer):
            pass
        return time.perf_counter() - start


def first_token(folder, cold):
    """Seconds of a process that writes one token, and its peak resident bytes."""
    if cold:
        with open(folder / "model.safetensors", "rb") as data:
            os.posix_fadvise(data.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = ["./holdfast", "generate", "--model", folder, "--raw", "--prompt", "hello"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*map(str, command), "--max-new-tokens", "1", "--ignore-eos"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"generate ended with status {status}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    # In a process of its own: the kernel counts the peak of a parent's memory as its child's.
    made = multiprocessing.get_context("spawn").Process(target=make, args=(arguments.layers,))
    made.start()
    made.join()
    if made.exitcode:
        sys.exit("the checkpoints could not be made")
    big, small = WORK / f"big-{arguments.layers}", WORK / "small"
    file = big / "model.safetensors"
    size = file.stat().st_size
    os.sync()
    median = lambda values: statistics.median(list(values))
    runs = range(arguments.runs)
    result = {"file_bytes": size}
    for kind, cold in ("disk", True), ("page cache", False):
        if not cold:
            read(file, False)
        reading = median(read(file, cold) for _ in runs)
        ready = [first_token(big, cold) for _ in runs]
        empty = [first_token(small, cold) for _ in runs]
        seconds, start = median(s for s, _ in ready), median(s for s, _ in empty)
        peak, base = median(m for _, m in ready), median(m for _, m in empty)
        result[kind] = {
            "read_seconds": round(reading, 3),
            "first_token_seconds": round(seconds, 3),
            "start_seconds": round(start, 3),
            "time_ratio": round(seconds / reading, 3),
            "time_ratio_without_start": round((seconds - start) / reading, 3),
            "memory_ratio": round(peak / size, 3),
            "memory_ratio_without_start": round((peak - base) / size, 3),
        }
    result["in one process"] = json.loads(
        subprocess.check_output(
            ["./holdfast", "bench", "load", "--model", str(big), "--runs", str(arguments.runs)]
        )
    )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
