"""What removing and adding refusal did in several bases, from the outputs of `geometry intervene` and
`geometry measure`: each cell with its 95 % Wilson interval, and the mean over seeds."""

import json
import sys
from pathlib import Path

folders = [Path(folder) for folder in sys.argv[1:]]
studies = [json.loads((folder / "intervene.json").read_text()) for folder in folders]
measures = [json.loads((folder / "measure.json").read_text()) for folder in folders]


def effects(study, name):
    return [e for e in study["effects"] if name(e["intervention"])]


def cell(rate):
    return "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * rate[k] for k in ("value", "low", "high")))


def row(title, pick, share):
    rates = [pick(study)[share] for study in studies]
    mean = 100 * sum(rate["value"] for rate in rates) / len(rates)
    print(f"| {title} | " + " | ".join(cell(rate) for rate in rates) + f" | {mean:.0f} |")


def exact(name):
    return lambda study: effects(study, lambda n: n == name(study))[0]


def worst(name, control, share):
    """The control that does most."""

    def pick(study):
        found = effects(study, lambda n: n.startswith(name(study) + "; " + control))
        return max(found, key=lambda e: e[share]["value"])

    return pick


removal = lambda study: study["selection"]["removal"]
addition = lambda study: study["selection"]["addition"]
none = lambda study: "none"

print("In per cent, with 95 % Wilson intervals.\n")
print("| | " + " | ".join(f"base {i}" for i in range(len(folders))) + " | mean |")
print("|---|" + "---:|" * (len(folders) + 1))
row("attack success, untouched", exact(none), "asr")
row("attack success, refusal removed", exact(removal), "asr")
row("benign answered, untouched", exact(none), "answered")
row("benign answered, refusal removed", exact(removal), "answered")
for control in ("random", "matched", "wrong layer", "wrong position"):
    if all(effects(s, lambda n: n.startswith(removal(s) + "; " + control)) for s in studies):
        title = "the worst " + control if control in ("random", "matched") else "the " + control
        row(f"attack success, {title} removed", worst(removal, control, "asr"), "asr")
row("benign refused, untouched", exact(none), "over_refusal")
row("benign refused, refusal added", exact(addition), "over_refusal")
row("benign refused, the worst random added", worst(addition, "random", "over_refusal"), "over_refusal")

def by_slot(*names):
    """Figures by slot, each a list with one of each base."""
    found = [[[f for f in m["figures"] if f["measure"] == n] for n in names] for m in measures]
    return zip(*(zip(*one) for one in found))


def slots(title, names, text):
    print(f"\n{title}, by slot of the residual stream:\n")
    print("| slot | " + " | ".join(f"base {i}" for i in range(len(folders))) + " |")
    print("|---|" + "---:|" * len(folders))
    for row in by_slot(*names):
        print(f"| {row[0][0]['layer']} | " + " | ".join(text(*figures) for figures in row) + " |")


slots(
    "How well the reply is read before it is given (AUROC at the prompt's last token)",
    ["auroc_refusal"],
    lambda f: "{value:.3f} [{low:.3f}, {high:.3f}]".format(**f),
)
slots(
    "Where refused and answered prompts stand along the carrier, which ablation puts at zero",
    ["refused_at", "complied_at"],
    lambda *both: " / ".join(f"{f['value']:.0f}" for f in both),
)

print("\nWhat was chosen, and what the other methods of removal do (attack success, benign answered):")
for study in studies:
    print(f"- {removal(study)}; {addition(study)}")
    for flag in study["flags"]:
        print(f"  - {flag}")
    for e in study["effects"]:
        if e.get("control") == "none" and e.get("mode") == "r" and e["intervention"] != addition(study):
            if e["method"] != "add" or e["coefficient"] < 0:
                print(f"  - {e['intervention']}: {cell(e['asr'])}, {cell(e['answered'])}")
