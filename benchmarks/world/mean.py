"""Mean, least and greatest of each figure over the summaries of several demonstrations."""

import json
import sys
from pathlib import Path

FIGURES = {
    "attack success": "asr",
    "over-refusal": "over_refusal",
    "benign answered": "benign_answered",
    "task accuracy": "task_accuracy",
    "other": "harmful_other",
}

summaries = [json.loads((Path(folder) / "summary.json").read_text()) for folder in sys.argv[1:]]
names = [run["name"] for run in summaries[0]["runs"]]
print(f"Mean over {len(summaries)} seeds (least-greatest), in per cent.\n")
print("| run | " + " | ".join(FIGURES) + " |")
print("|---|" + "---:|" * len(FIGURES))
for name in names:
    runs = [next(r for r in s["runs"] if r["name"] == name) for s in summaries]
    cells = []
    for key in FIGURES.values():
        values = [100 * run[key] for run in runs]
        cells.append(f"{sum(values) / len(values):.1f} ({min(values):.1f}-{max(values):.1f})")
    print(f"| {name} | " + " | ".join(cells) + " |")
