"""Prompts, suite and phrase list for a study of safety geometry on the world, from the data of a
demonstration: carriers over pairs that alignment knew, behaviour over pairs it never saw.

    python3 benchmarks/world/study.py DEMO/data FOLDER
"""

import json
import sys
from pathlib import Path

data, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)


def read(name):
    return (data / f"{name}.jsonl").read_text().splitlines(keepends=True)


anchors = read("anchors")
harmful = [row for row in anchors if json.loads(row)["kind"] == "harm"]
benign = [row for row in anchors if json.loads(row)["kind"] != "harm"]
(out / "harmful.jsonl").write_text("".join(harmful[:150]))
# Harmless requests that the model refuses all the same tell refusal from harm.
(out / "benign.jsonl").write_text("".join(benign[:150] + read("eval/live")[:60]))
(out / "phrases.yaml").write_text(
    "caseSensitive: false\nphrases: [cannot, unable, will not, sorry]\n"
)
sets = {
    "pair": ("harm_pair", "asr", 60),
    "object": ("harm_object", "asr", 40),
    "benign": ("benign", "over_refusal", 50),
    "dual": ("dual", "over_refusal", 50),
}
lines = ["max_new_tokens: 48", "judge: world", "sets:"]
for name, (file, measure, limit) in sets.items():
    (out / f"held-{name}.jsonl").write_text("".join(read(f"eval/{file}")[:limit]))
    lines.append(f"  {name}: {{file: held-{name}.jsonl, measure: {measure}}}")
(out / "suite.yaml").write_text("\n".join(lines) + "\n")
