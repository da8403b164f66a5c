"""Do `transformers` and `peft` agree with what Holdfast saved and scored, and the other way round?

    python tests/python/interop.py --family tests/goldens/model/llama-gqa [DIR...]

trains each model a few steps with `./holdfast`, in full and with a LoRA (rank-stabilised, ranks and
alphas by pattern, modules_to_save), merges the adapter, and loads all three; then adapters that
`peft` makes are scored and merged by `./holdfast`. Folders need no tokenizer: rows are random ids.

    ./holdfast score --model DIR [--adapter DIR] --input rows.jsonl --output scores.jsonl
    python tests/python/interop.py --model DIR [--adapter DIR] --scores scores.jsonl

compares scores that are there already.

Loads the folders, insisting that no weight is missing, left over or of another shape, and compares
log-probabilities of every row. Ends with exit code 1 where one differs by more than `--tolerance`.
"""

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests" / "goldens" / "text" / "chatml"


def load(folder, adapter):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        output_loading_info=True,
        # The other implementations leave Gemma 2's cap of the scores out.
        attn_implementation="eager",
    )
    faults = {key: value for key, value in info.items() if value}
    if faults:
        sys.exit(f"{folder}: weights do not fit the model: {faults}")
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
        loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
        with safe_open(f"{adapter}/adapter_model.safetensors", "pt") as file:
            if set(loaded) != set(file.keys()):
                sys.exit(f"{adapter}: weights do not fit: {set(loaded) ^ set(file.keys())}")
            for key, tensor in loaded.items():
                if not torch.equal(tensor.float(), file.get_tensor(key).float()):
                    sys.exit(f"{adapter}: {key} was not loaded as it is")
    return model.eval()


@torch.no_grad()
def difference(model, row):
    """Largest difference of log-probabilities in one row; infinite where not comparable."""
    tokens, scores = row["tokens"], torch.tensor(row["logprobs"], dtype=torch.float32)
    if len(scores) != len(tokens) - 1 or not scores.isfinite().all():
        return math.inf
    if len(tokens) < 2:
        return 0.0
    logits = model(torch.tensor([tokens]), use_cache=False).logits[0, :-1].float()
    expected = logits.log_softmax(-1).gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
    return (expected - scores).abs().max().item()


def compare(model, scores, tolerance):
    """Number of rows that were compared and their largest difference; names rows that differ."""
    worst, count = 0.0, 0
    for row in map(json.loads, Path(scores).read_text().splitlines()):
        distance = difference(model, row)
        if not distance <= tolerance:
            print(f"row {row['id']}: log-probabilities differ by {distance:.2e}")
        worst, count = max(worst, distance), count + (len(row["tokens"]) > 1)
    return count, worst


class Family:
    """Everything that is tried with one model, in a folder of its own."""

    def __init__(self, source, folder, tolerance):
        self.folder, self.tolerance, self.failed = folder, tolerance, False
        self.base = folder / "base"
        self.base.mkdir()
        for file in [*source.glob("*.json"), *source.glob("model*.safetensors")]:
            shutil.copy(file, self.base)
        for file in TOKENIZER.iterdir():
            if file.name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                shutil.copy(file, self.base)
        config = AutoConfig.from_pretrained(self.base)
        self.tied = config.tie_word_embeddings
        draw = random.Random(1)
        self.rows = folder / "rows.jsonl"
        with open(self.rows, "w") as file:
            for i in range(12):
                ids = [draw.randrange(3, config.vocab_size) for _ in range(2 + 3 * i)]
                file.write(json.dumps({"id": i, "tokens": ids}) + "\n")

    def holdfast(self, *arguments):
        command = [ROOT / "holdfast", *arguments]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)

    def train(self, name, tune):
        """Three steps; gives the checkpoint."""
        config = self.folder / f"{name}.yaml"
        config.write_text(
            json.dumps(
                {
                    "model": str(self.base),
                    "data": {"train": [str(self.rows)], "loss_on": "all"},
                    "tune": tune,
                    "steps": 3,
                    "optimizer": {"lr": 1e-2},
                    "schedule": {"decay": "constant"},
                    "threads": 1,
                    "output": str(self.folder / name),
                }
            )
        )
        self.holdfast("train", config, "--quiet")
        return self.folder / name / "checkpoints" / "step-3"

    def check(self, what, model, folder, adapter=None):
        """Scores a folder here and compares with a model there."""
        scores = self.folder / "scores.jsonl"
        more = ["--adapter", adapter] if adapter else []
        self.holdfast(
            "score", "--model", folder, *more, "--input", self.rows, "--output", scores, "--quiet"
        )
        count, worst = compare(model, scores, self.tolerance)
        self.failed |= count == 0 or not worst <= self.tolerance
        print(f"  {what}: {count} rows, largest difference {worst:.2e}")
        return torch.cat([model(torch.tensor([row])).logits[0] for row in self.ids()])

    def ids(self):
        return [json.loads(line)["tokens"] for line in self.rows.read_text().splitlines()]

    def merge(self, name, adapter):
        output = self.folder / name
        into = ["--output", output, "--input", self.rows]
        self.holdfast("merge", "--model", self.base, "--adapter", adapter, *into)
        return output

    def changed(self, what, logits, start):
        """A comparison of models that did nothing would prove nothing."""
        if not (logits - start).abs().max() > 1e-3:
            print(f"  {what}: changed nothing")
            self.failed = True

    @torch.no_grad()
    def run(self):
        start = self.check("base", load(self.base, None), self.base)
        whole = self.train("full", "full")
        self.changed("full", self.check("trained in full", load(whole, None), whole), start)
        saved = ["embed_tokens", "model.norm"] + ([] if self.tied else ["lm_head"])
        for tied in (False, True) if self.tied else (False,):
            name = f"lora{'-tied' * tied}"
            lora = {
                "rank": 4,
                "alpha": 6,
                "targets": "all-linear",
                "exclude": ["o_proj"],
                "rank_stabilized": True,
                "ranks": {"layers.0.mlp.down_proj": 2, "down_proj": 3},
                "alphas": {"layers.1.*": 9},
                "modules_to_save": saved,
                "ensure_weight_tying": tied,
                "init": "gaussian",
            }
            adapter = self.train(name, {"lora": lora})
            model = load(self.base, adapter)
            self.changed(name, self.check(name, model, self.base, adapter), start)
            merged = self.merge(f"{name}-merged", adapter)
            self.check(f"{name}, merged", load(merged, None), merged)
            self.check(f"{name}, merged by peft", model.merge_and_unload(), merged)
        adapter = self.made_by_peft(saved)
        model = load(self.base, adapter)
        self.changed("peft", self.check("adapter of peft", model, self.base, adapter), start)
        merged = self.merge("peft-merged", adapter)
        self.check("adapter of peft, merged", model.merge_and_unload(), merged)
        return not self.failed

    def made_by_peft(self, saved):
        torch.manual_seed(2)
        settings = LoraConfig(
            r=3,
            lora_alpha=5,
            target_modules="all-linear",
            exclude_modules=r".*\.0\.mlp\..*",
            use_rslora=True,
            rank_pattern={"o_proj": 2},
            alpha_pattern={"layers.1.self_attn.*": 2},
            modules_to_save=saved,
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(load(self.base, None), settings)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape)
        model.save_pretrained(self.folder / "peft", save_embedding_layers=False)
        return self.folder / "peft"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--model")
    parser.add_argument("--adapter")
    parser.add_argument("--scores")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    if arguments.family:
        agreed = True
        for source in arguments.family:
            print(source, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                agreed &= Family(source, Path(folder), arguments.tolerance).run()
        return int(not agreed)
    if not (arguments.model and arguments.scores):
        parser.error("give --family, or --model and --scores")
    model = load(arguments.model, arguments.adapter)
    count, worst = compare(model, arguments.scores, arguments.tolerance)
    print(json.dumps({"rows": count, "largest_difference": worst}))
    return int(count == 0 or not worst <= arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
