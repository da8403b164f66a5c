"""Writes a random Llama, a byte-level tokenizer and rows of random chat for training benchmarks.

    python benchmarks/python/make_llama.py 100m DIR     # 110 M parameters, rows of 256 tokens
    python benchmarks/python/make_llama.py tiny DIR     # 1.4 M parameters, rows of 48 tokens

DIR/model is a Hugging Face folder in float32; DIR/rows.jsonl holds `messages`, half of each row's
tokens in the answer. Row lengths vary by an eighth to either side of the named length.
"""

import argparse
import json
import random
import string
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SIZES = {
    "100m": (
        dict(
            vocab_size=32000,
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=12,
            num_attention_heads=12,
        ),
        256,
    ),
    "tiny": (
        dict(
            vocab_size=1536,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=6,
            num_attention_heads=4,
        ),
        48,
    ),
}
SPECIAL = ["<|pad|>", "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "<|begin|>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write_model(fields, folder):
    torch.manual_seed(0)
    config = LlamaConfig(
        **fields,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=4,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def write_tokenizer(folder):
    """One token a byte, five special tokens before them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(SPECIAL + letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        bos_token="<|begin|>",
        eos_token="<|end|>",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)


def write_rows(length, count, file):
    """Random letters; five tokens of each row are the template's."""
    draw = random.Random(0)
    words = lambda n: "".join(draw.choice(string.ascii_lowercase + " ") for _ in range(n - 1)) + "."
    with open(file, "w") as out:
        for _ in range(count):
            content = length + draw.randint(-length // 8, length // 8) - 5
            turns = zip(("user", "assistant"), (content // 2, content - content // 2))
            row = {"messages": [{"role": role, "content": words(n)} for role, n in turns]}
            out.write(json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    arguments = parser.parse_args()
    fields, length = SIZES[arguments.size]
    folder = arguments.folder / "model"
    folder.mkdir(parents=True, exist_ok=True)
    parameters = write_model(fields, folder)
    write_tokenizer(folder)
    write_rows(length, arguments.rows, arguments.folder / "rows.jsonl")
    print(json.dumps({"model": str(folder), "parameters": parameters, "rows": arguments.rows}))


if __name__ == "__main__":
    main()
