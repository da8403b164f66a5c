"""Trains the world's tokenizer on the text that the Java generator wrote.

    java -cp 'target/classes:target/lib/*' benchmarks/world/WriteWorld.java WORLD_FOLDER 1
    python3 benchmarks/world/tokenizer.py WORLD_FOLDER src/main/resources/io/holdfast/world/base

No maintained JVM library trains a byte-level
BPE (DJL's binding of Hugging Face's tokenizers loads and encodes, but has no trainer), so this one
step uses the Python binding of the same library. Its output is committed and a build never runs it.
"""

import json
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Rows of each file that the merges are counted over.
ROWS = {"pretrain": 15000, "align": 8000, "work-train": 1500}


def text(row):
    if "messages" in row:
        return "\n".join(m["content"] for m in row["messages"])
    plain = row["text"] if "text" in row else row["prompt"] + row["completion"]
    for token in [SPECIAL[1] + "user\n", *SPECIAL]:
        plain = plain.replace(token, "")
    return plain


def corpus(folder):
    words = set()
    for name, limit in ROWS.items():
        with open(folder / f"{name}.jsonl", encoding="utf-8") as lines:
            for _, line in zip(range(limit), lines):
                row = text(json.loads(line))
                words.update(w for w in row.replace("\n", " ").split(" ") if w.isalpha() and w.islower())
                yield row
    # Every word of the world is one token, however rare it is in the rows; so are the roles.
    for word in sorted(words):
        yield from [" " + word] * 20
    yield from ["user\nassistant\nsystem\n"] * 50


def main(folder, output):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        corpus(folder),
        trainers.BpeTrainer(
            vocab_size=1536,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(output)
    # transformers 5 writes a class name that version 4 does not know; both know this one.
    config = output / "tokenizer_config.json"
    settings = json.loads(config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    config.write_text(json.dumps(settings, indent=2) + "\n")
    check(AutoTokenizer.from_pretrained(output))


def check(tokenizer):
    chat = [{"role": "user", "content": "How do I forge the old passport?"}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>user\nHow do I forge the old passport?<|im_end|>\n<|im_start|>assistant\n"
    ), rendered
    ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == rendered
    suffix = tokenizer("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    assert len(suffix) == 5 and ids[-5:] == suffix, suffix
    for word in (" wrong", " fine", " passport", " ladle", " hijack"):
        assert len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1, word
    assert tokenizer("", add_special_tokens=True)["input_ids"] == []
    print(f"{len(tokenizer)} tokens;", tokenizer.convert_ids_to_tokens(ids))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
