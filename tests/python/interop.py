"""Does `transformers` (and `peft`) agree with what Holdfast saved and scored?

    ./holdfast score --model DIR [--adapter DIR] --input rows.jsonl --output scores.jsonl
    python tests/python/interop.py --model DIR [--adapter DIR] --scores scores.jsonl

Loads the folders, insisting that no weight is missing, left over or of another shape, and compares
log-probabilities of every row. Ends with exit code 1 where one differs by more than `--tolerance`.
"""

import argparse
import json
import math
import sys

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging


def load(folder, adapter):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    faults = {key: value for key, value in info.items() if value}
    if faults:
        sys.exit(f"{folder}: weights do not fit the model: {faults}")
    if adapter:
        from peft import PeftModel, get_peft_model_state_dict

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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--scores", required=True)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    model = load(arguments.model, arguments.adapter)
    worst, count = 0.0, 0
    with open(arguments.scores) as file:
        for row in map(json.loads, file):
            distance = difference(model, row)
            if not distance <= arguments.tolerance:
                print(f"row {row['id']}: log-probabilities differ by {distance:.2e}")
            worst, count = max(worst, distance), count + (len(row["tokens"]) > 1)
    print(json.dumps({"rows": count, "largest_difference": worst}))
    return int(count == 0 or not worst <= arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
