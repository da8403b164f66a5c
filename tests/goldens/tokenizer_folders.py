"""Golden file for what the files of a model folder say of its tokenizer, as `AutoTokenizer` reads them.

    python tests/goldens/tokenizer_folders.py

`text/folders/cases.jsonl` has a line a folder:

name        what is peculiar about it
base        folder of `text` whose tokenizer.json it has
tokenizer   fields of tokenizer.json that are replaced
files       the other files of the folder; none of the base's
texts       [text, ids with special tokens, ids without, decoded, decoded without special tokens];
            the last two are left out where an added token is normalized by more than its case:
            versions of the library differ in how they decode it
special     named special tokens
added       added tokens: [id, text, single_word, lstrip, rstrip, normalized, special]
size        tokens of the vocabulary, added ones included
"""

import json
import logging
import shutil
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parent / "text"
TEXTS = [
    "the cat",
    "  the cat  sat",
    "the cat</s>dog <x> <|im_end|>\n\n<|im_start|> that",
    "<s> the <x>  dog<x>s [PAD] cat <a>",
    "a<x>b, E\u0301mile 1234 It's\n\n \t12.5 人 <X> \ufb01n",
    "",
]


def x(**flags):
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"content": "<x>", **token, "special": True, **flags}


def parts(**parts):
    """Parts of tokenizer.json by the library's own names."""
    return {name: json.loads(part.__getstate__()) if part else None for name, part in parts.items()}


def same(content, special=True):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special}


FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
SPLIT = Regex(r"[^\r\n\p{L}\p{N}]?[\p{Lu}]*[\p{Ll}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def folder(name, base, settings=None, tokenizer=None, **files):
    named = {f"{file}.json": content for file, content in files.items()}
    if settings is not None:
        named["tokenizer_config.json"] = settings
    return {"name": name, "base": base, "tokenizer": tokenizer or {}, "files": named}


def added(base, *tokens):
    """The base's added tokens and more, with the next ids."""
    state = json.loads((ROOT / base / "tokenizer.json").read_text())
    size = len(state["model"]["vocab"])
    return {"added_tokens": state["added_tokens"] + [{"id": size + i, **t} for i, t in enumerate(tokens)]}


FOLDERS = [
    folder("tokenizer.json alone", "llama2"),
    folder("begin and end that the post-processor does not add", "llama2",
           FAST | {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False, "add_eos_token": True}),
    folder("no post-processor, though begin and end are asked for", "llama2",
           FAST | {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": True},
           {"post_processor": None}),
    folder("no post-processor", "llama2", FAST | {"bos_token": "<s>"}, {"post_processor": None}),
    # The class that a folder names, and what transformers makes of it.
    folder("LlamaTokenizer", "llama2", LLAMA),
    folder("LlamaTokenizer of a llama", "llama2", LLAMA | {"legacy": False}, config={"model_type": "llama"}),
    folder("LlamaTokenizer, legacy", "llama2", LLAMA | {"legacy": True, "tokenizer_class": "LlamaTokenizerFast"}),
    folder("LlamaTokenizer without a blank in front", "llama2", LLAMA | {"add_prefix_space": False}),
    folder("LlamaTokenizer without names", "llama2", {"tokenizer_class": "LlamaTokenizer"}),
    folder("LlamaTokenizer that names no pad but null", "llama2", LLAMA | {"bos_token": None}),
    folder("LlamaTokenizer of a mistral", "llama2", LLAMA, config={"model_type": "mistral"}),
    folder("LlamaTokenizer of a phi3", "llama2", LLAMA, config={"model_type": "phi3"}),
    folder("LlamaTokenizer with listed tokens", "llama2",
           LLAMA | {"added_tokens_decoder": {"0": same("<unk>"), "1": same("<s>"), "2": same("</s>"),
                                             "600": x(lstrip=True)}}),
    folder("LlamaTokenizer with a token in the file", "llama2", LLAMA, added("llama2", x(rstrip=True))),
    folder("GemmaTokenizer", "llama2", {"tokenizer_class": "GemmaTokenizer"}, config={"model_type": "gemma2"}),
    folder("a gemma without a class", "llama2", {"bos_token": "<s>"}, config={"model_type": "gemma"}),
    folder("a gemma3 with the file's", "llama2", FAST, config={"model_type": "gemma3_text"}),
    folder("Qwen2Tokenizer", "chatml", {"tokenizer_class": "Qwen2Tokenizer"}),
    folder("a qwen2 whatever it names", "chatml", FAST | {"eos_token": "<|im_end|>"}, config={"model_type": "qwen2"}),
    folder("a qwen3 with the file's", "chatml", FAST, config={"model_type": "qwen3"}),
    folder("a qwen3 without a class", "chatml", {"pad_token": "<|im_end|>"}, config={"model_type": "qwen3"}),
    folder("GPT2Tokenizer of a llama", "llama3", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True},
           {"padding": None, "truncation": None}, config={"model_type": "llama"}),
    folder("a class in config.json", "llama2", {}, config={"model_type": "llama", "tokenizer_class": "LlamaTokenizer"}),
    folder("a class that nobody knows", "llama2", {"tokenizer_class": "OwnTokenizer"}),
    # Added tokens.
    folder("flags of the file", "llama2", FAST, added("llama2", x(lstrip=True, special=False))),
    folder("rstrip", "llama2", FAST, added("llama2", x(rstrip=True))),
    folder("single word", "llama2", FAST, added("llama2", x(single_word=True))),
    folder("normalized", "llama2", FAST, added("llama2", x(normalized=True, special=False))),
    folder("single word, byte-level", "chatml", FAST, added("chatml", x(single_word=True, rstrip=True))),
    folder("normalized, in another case", "chatml", FAST,
           added("chatml", x(normalized=True)) | parts(normalizer=normalizers.Lowercase())),
    folder("listed with other flags", "llama2",
           FAST | {"added_tokens_decoder": {"460": x(lstrip=True, rstrip=True)}}, added("llama2", x(special=False))),
    folder("listed and not in the file", "llama2", FAST | {"added_tokens_decoder": {"460": x(rstrip=True)}}),
    folder("listed with an id that does not come next", "llama2", FAST | {"added_tokens_decoder": {"500": x()}}),
    folder("listed, and part of the vocabulary", "llama2",
           FAST | {"added_tokens_decoder": {"300": same("▁the", False)}}),
    folder("named and not in the file", "llama2", FAST | {"pad_token": "[PAD]", "eos_token": "cat"}),
    folder("named as an object", "llama2",
           FAST | {"pad_token": {"__type": "AddedToken", "content": "[PAD]", "lstrip": True, "rstrip": False,
                                 "single_word": False, "normalized": True}}),
    folder("names of one model", "llama2", FAST | {"image_token": "<x>", "bos_token": "<s>"}),
    folder("extra tokens", "llama2", FAST | {"extra_special_tokens": ["<x>", "<a>"],
                                             "additional_special_tokens": ["[PAD]"]}),
    folder("extra tokens by the older name", "llama2", FAST | {"additional_special_tokens": ["<x>", "<a>"]}),
    folder("extra tokens with names", "llama2", FAST | {"extra_special_tokens": {"x_token": "<x>"}}),
    folder("the older map", "llama2", FAST | {"eos_token": "</s>"},
           special_tokens_map={"eos_token": "<unk>", "pad_token": {"content": "[PAD]", "lstrip": True}}),
    folder("the older map that does not count", "llama2",
           FAST | {"eos_token": "</s>", "added_tokens_decoder": {}}, special_tokens_map={"eos_token": "<unk>"}),
    folder("the older map with extra tokens", "llama2", FAST,
           special_tokens_map={"additional_special_tokens": ["<x>"]}),
    folder("the older list of added tokens", "llama2", FAST | {"pad_token": "[PAD]"},
           added_tokens={"<x>": 460, "[PAD]": 461}),
    folder("padding names the pad token", "llama3", FAST),
    # Parts of tokenizer.json that families have.
    folder("Metaspace before the first word", "llama2", FAST, {"normalizer": None} | parts(
        pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False))),
    folder("Metaspace before every part", "llama2", FAST, {"normalizer": None} | parts(
        pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="always", split=True))),
    folder("Metaspace never", "llama2", FAST, {"normalizer": None} | parts(
        pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="never", split=False))),
    folder("blanks replaced, words split after", "llama2", FAST, parts(
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
        decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))),
    folder("digits one by one", "chatml", FAST, parts(pre_tokenizer=pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]))),
    folder("case in the regular expression", "chatml", FAST, parts(
        normalizer=normalizers.NFC(),
        pre_tokenizer=pre_tokenizers.Sequence(
            [pre_tokenizers.Split(SPLIT, "removed", invert=True),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))),
    folder("Unigram", "unigram", FAST | {"eos_token": "</s>", "unk_token": "<unk>"}),
    folder("Unigram with its normalizers", "unigram", FAST, parts(
        normalizer=normalizers.Sequence(
            [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizer=pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]))),
    folder("BPE that does not clean up", "llama2", FAST | {"clean_up_tokenization_spaces": True}),
]


def write(case, folder):
    state = json.loads((ROOT / case["base"] / "tokenizer.json").read_text()) | case["tokenizer"]
    (folder / "tokenizer.json").write_text(json.dumps(state))
    for name, content in case["files"].items():
        (folder / name).write_text(json.dumps(content))


def row(tokenizer, text, decode):
    ids = tokenizer(text)["input_ids"]
    encoded = [text, ids, tokenizer(text, add_special_tokens=False)["input_ids"]]
    decoded = [tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=True)]
    return encoded + decoded if decode else encoded


def main():
    logging.disable(logging.WARNING)
    shutil.rmtree(ROOT / "folders", ignore_errors=True)
    (ROOT / "folders").mkdir()
    with (ROOT / "folders" / "cases.jsonl").open("w") as out:
        for case in FOLDERS:
            with tempfile.TemporaryDirectory() as folder:
                write(case, Path(folder))
                tokenizer = AutoTokenizer.from_pretrained(folder)
            tokens = sorted(tokenizer.added_tokens_decoder.items())
            moved = any(t.normalized for _, t in tokens) and case["base"] == "llama2"
            case |= {
                "texts": [row(tokenizer, text, not moved) for text in TEXTS],
                "special": tokenizer.special_tokens_map,
                "added": [[i, t.content, t.single_word, t.lstrip, t.rstrip, t.normalized, t.special]
                          for i, t in tokens],
                "size": len(tokenizer),
            }
            out.write(json.dumps(case, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
