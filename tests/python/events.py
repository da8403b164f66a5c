"""Does TensorBoard read what a run wrote for it?

    ./holdfast train run.yaml
    python tests/python/events.py RUN

Loads RUN/tensorboard by TensorBoard's own reader and compares every scalar of every step with
RUN/metrics.jsonl and RUN/evals.jsonl. Ends with exit code 1 where they differ.
"""

import json
import sys
from pathlib import Path

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray


def scalars(events, tag):
    """A tag's values by step. A plain scalar may come back as a tensor of one number."""
    if tag in events.Tags()["scalars"]:
        return {e.step: e.value for e in events.Scalars(tag)}
    return {e.step: make_ndarray(e.tensor_proto).item() for e in events.Tensors(tag)}


def expected(run):
    """The numbers of both files by tag and step, in float32 as events hold them."""
    wanted = {}
    for group, name in (("train", "metrics.jsonl"), ("eval", "evals.jsonl")):
        if (run / name).exists():
            for line in map(json.loads, (run / name).read_text().splitlines()):
                for key, value in line.items():
                    if key != "step" and isinstance(value, (int, float)):
                        wanted.setdefault(f"{group}/{key}", {})[line["step"]] = float(
                            numpy.float32(value)
                        )
    return wanted


def main(folder):
    run = Path(folder)
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    found = {tag: scalars(events, tag) for tag in tags["scalars"] + tags["tensors"]}
    wanted = expected(run)
    for tag in sorted(set(wanted) | set(found)):
        if wanted.get(tag) != found.get(tag):
            print(f"{tag}: {wanted.get(tag)} was written, TensorBoard reads {found.get(tag)}")
    print(json.dumps({"tags": len(found), "values": sum(map(len, found.values()))}))
    return int(not wanted or wanted != found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
