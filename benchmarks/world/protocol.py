"""The trajectories of a study side by side, what was removed and added at their ends, and the matrix of
transfer, from the results.json of `geometry protocol`; shares in per cent with 95 % intervals."""

import json
import sys
from pathlib import Path

study = json.loads(Path(sys.argv[1]).read_text())
CURVES = {
    "asr": "attack success",
    "over_refusal": "over-refusal",
    "answered": "benign answered",
    "utility": "task accuracy",
    "transfer_asr": "with the reference's strings",
    "c_cos": "C_cos",
    "hrci_repr": "HRCI_repr",
    "relative_drift": "drift",
    "interference_sign": "gradients' cosine",
}
SHARES = {"asr", "over_refusal", "answered", "utility", "transfer_asr"}


def cell(measure, f):
    if f is None:
        return "-"
    scale, digits = (100, 0) if measure in SHARES else (1, 2)
    text = f"{scale * f['value']:.{digits}f}"
    ends = "{:.{d}f}, {:.{d}f}"
    return text + (
        f" [{ends.format(scale * f['low'], scale * f['high'], d=digits)}]" if "low" in f else ""
    )


def figure(point, measure):
    for f in point["figures"]:
        if f["measure"] == measure and f.get("layer", point["refusal_layer"]) == point["refusal_layer"]:
            return f
    return None


print("| regime | step | " + " | ".join(CURVES.values()) + " |")
print("|---|---:|" + "---:|" * len(CURVES))
for regime in study["regimes"]:
    for point in regime["checkpoints"]:
        cells = " | ".join(cell(m, figure(point, m)) for m in CURVES)
        print(f"| {regime['regime']} | {point['step']} | {cells} |")

print("\n| model | what was done | attack success | benign answered | over-refusal |")
print("|---|---|---:|---:|---:|")
for end in study["interventions"]:
    chosen = [end["selection"]["removal"], end["selection"]["addition"]]
    for effect in end["effects"]:
        name = effect["intervention"]
        if name in ["none", *chosen] or any(name.startswith(c + "; random") for c in chosen):
            cells = " | ".join(cell("asr", effect[k]) for k in ("asr", "answered", "over_refusal"))
            print(f"| {end['checkpoint']} | {name} | {cells} |")

if "transfer" in study:
    cells = study["transfer"]["cells"]
    sources = list(dict.fromkeys(c["source"] for c in cells))
    targets = list(dict.fromkeys(c["target"] for c in cells))
    rate = {(c["source"], c["target"]): c for c in cells}
    print("\nTest cases answered / neither / refused:\n\n| strings of \\ on | " + " | ".join(targets) + " |")
    print("|---|" + "---:|" * len(targets))
    for source in sources:
        row = (rate[source, target] for target in targets)
        text = "{comply} / {other} / {refuse}"
        print(f"| {source} | " + " | ".join(text.format(**c) for c in row) + " |")
