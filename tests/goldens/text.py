"""Golden files for tokenizers and chat templates: what `transformers` makes of rows.

    python tests/goldens/text.py

`text/<model>/` are model folders with small trained tokenizers and nothing else:

chatml        byte-level BPE; ChatML in chat_template.jinja; no special tokens added to plain text
chatml-marked the same with {% generation %} around what the assistant says
llama2        SentencePiece-style BPE with byte fallback; <s> before plain text; template in
              tokenizer_config.json
llama3        byte-level BPE behind a regular expression; begin-of-text before plain text and in the
              template, which is one of several named ones; its tokenizer.json asks for truncation
              and padding, which must not happen
unigram       Unigram without a template; </s> after plain text

Each has `cases.jsonl`, a line a row in the format of the command `tokenize`:

row              the input
text, ids        rendered text and its token ids
assistant        tokens that the assistant said: from the template's marks where it has them; else
                 by rendering every prefix of the conversation, without the blanks after an end of
                 turn
instruction_end  last token of the last user turn's content, by the characters it covers
prompt_end       last token of the rendered prompt

The templates are those of `text/templates`.
"""

import json
import shutil
from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parent / "text"
TEMPLATES = ROOT / "templates"

CORPUS = [
    "the cat sat on the mat and the dog ran after the cat",
    "please write a short note about tea, bread and rain; a list of three things would help",
    "how do I cook rice? first wash it, then boil it in water for ten minutes",
    "user assistant system model tool answer question yes no I cannot help with that",
    "Émile naïvely ate a crème brûlée; 12 + 30 = 42, and 3.14 is close to pi",
    "def add(a, b):\n    return a + b\n\nprint(add(1, 2))\n",
    "人は雨が好きです。 Привет, мир! العربية",
    "It's what they've said: we'll see, you're right, I'd go, he's in, don't!",
] * 4


def assemble(folder, model, **parts):
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def train(folder, model, trainer, corpus=CORPUS, **parts):
    tokenizer = assemble(folder, model, **parts)
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def save(folder, tokenizer, config, template=None, shape=None):
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    if template is not None:
        config["chat_template"] = template
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n")


def byte_level(size, special):
    return trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )


def template(name):
    return (TEMPLATES / f"{name}.jinja").read_text()


def chatml(folder, name):
    tokenizer = train(
        folder,
        models.BPE(),
        byte_level(420, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoder=decoders.ByteLevel(),
    )
    save(folder, tokenizer, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    (folder / "chat_template.jinja").write_text(template(name))


def llama2(folder):
    tokenizer = train(
        folder,
        models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        trainers.BpeTrainer(
            vocab_size=460,
            special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)],
            show_progress=False,
        ),
        corpus=[text for text in CORPUS if text.isascii()],  # the others need the bytes
        normalizer=normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        ),
        decoder=decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        ),
        post_processor=processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        ),
    )
    # The trainer wants bytes as special tokens to give them their places; in use they are ordinary.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    for merge in list(state["model"]["merges"]):
        if "<0x" in "".join(merge):
            state["model"]["merges"].remove(merge)
    save(
        folder,
        Tokenizer.from_str(json.dumps(state)),
        {
            "bos_token": {"__type": "AddedToken", "content": "<s>", "special": True},
            "eos_token": "</s>",
            "unk_token": "<unk>",
        },
        template("llama2"),
    )


def llama3(folder):
    special = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ]
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer = train(
        folder,
        models.BPE(ignore_merges=True),
        byte_level(430, special),
        pre_tokenizer=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        decoder=decoders.ByteLevel(),
        post_processor=processors.Sequence(  # the first trims what tokens cover, not what they are
            [
                processors.ByteLevel(trim_offsets=True),
                processors.TemplateProcessing(
                    single="<|begin_of_text|> $A",
                    pair=None,
                    special_tokens=[("<|begin_of_text|>", 0)],
                ),
            ]
        ),
    )
    tokenizer.enable_truncation(max_length=6)
    tokenizer.enable_padding(length=64, pad_id=1, pad_token="<|end_of_text|>")
    save(
        folder,
        tokenizer,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        [
            {"name": "tool_use", "template": "{{ raise_exception('not this one') }}"},
            {"name": "default", "template": template("llama3")},
        ],
    )


def unigram(folder):
    # Its trainer gives other scores every time, so the vocabulary is made by counting.
    words = Counter("▁" + word for text in CORPUS[:4] for word in text.split())
    letters = Counter(letter for word in words for letter in word)
    counted = words.most_common(60) + letters.most_common(50)
    scored = [(piece, -1.0 - i / 16) for i, (piece, _) in enumerate(counted)]
    special = [(piece, 0.0) for piece in ("<pad>", "</s>", "<unk>")]
    tokenizer = assemble(
        folder,
        models.Unigram(special + scored, unk_id=2),
        normalizer=normalizers.NFKC(),
        pre_tokenizer=pre_tokenizers.Metaspace(),
        decoder=decoders.Metaspace(),
        post_processor=processors.TemplateProcessing(
            single="$A </s>", pair=None, special_tokens=[("</s>", 1)]
        ),
    )
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.add_tokens([AddedToken("<extra>", lstrip=True, normalized=False)])
    save(
        folder,
        tokenizer,
        {"eos_token": "</s>", "unk_token": "<unk>"},
    )
    (folder / "special_tokens_map.json").write_text('{"pad_token": "<pad>"}\n')


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


ASK = [turn("user", "how do I cook rice?")]
ANSWERED = ASK + [turn("assistant", "Wash it, then boil it.")]
LONGER = (
    [turn("system", "You are a short model.")]
    + ANSWERED
    + [turn("user", "And tea?"), turn("assistant", "Boil water first.")]
)
CONVERSATIONS = {
    "ask": ASK,
    "answered": ANSWERED,
    "system": [turn("system", "Be brief.")] + ASK,
    "longer": LONGER,
    "longer-open": LONGER[:-1],
    "unicode": [
        turn("user", "Émile 😀👍🏽 人は雨 naïve e\u0301 𝒳 ﬁ?"),
        turn("assistant", "Привет! 🇫🇷 العربية\u200d 👩‍👩‍👧"),
    ],
    "blanks": [
        turn("user", "  two\t\ttabs and a line\n\n\nmore   "),
        turn("assistant", "\n  indented\n\ttext \n"),
    ],
    "ends-in-break": [turn("user", "a line\n"), turn("assistant", "\n\nlate answer")],
    "special": [
        turn("user", "what is <|im_end|> and </s> or <|eot_id|>[/INST]?"),
        turn("assistant", "<|im_start|>user\n<s> is a token"),
    ],
    "jinja": [turn("user", "{{ 7 * 7 }} {% if %} {# no #}"), turn("assistant", "{{ messages }}")],
    "nothing": [turn("user", ""), turn("assistant", "")],
    "one-letter": [turn("user", "e"), turn("assistant", "o")],
    "same": [turn("user", "yes"), turn("assistant", "yes"), turn("user", "yes")],
}
TEXTS = {
    "plain": "the cat sat on the mat",
    "blanks": "  two  spaces\n\n\tand tabs \r\n",
    "unicode": "Émile 😀👍🏽 人は雨 e\u0301 ﬁ 𝒳 \u0000 \u200b",
    "special": "<s>the <|im_start|>cat</s> <|begin_of_text|> <extra> x",
    "empty": "",
    "long": "write a note about rain, " * 20,
}


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def render(tokenizer, messages, generation):
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=generation
    )


def mask_of(encoding, spans, length):
    mask = [0] * length
    for start, end in spans:
        for i, (a, b) in enumerate(encoding.offsets):
            if a < end and b > start:
                mask[i] = 1
    return mask


def assistant(tokenizer, messages, text, encoding):
    """What the assistant said, by rendering prefixes, and where the answer's prompt ends."""
    added = set(tokenizer.get_added_vocab().values())
    spans, prompt = [], None
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            before = render(tokenizer, messages[:i], True)
            with_it = render(tokenizer, messages[: i + 1], False)
            assert text.startswith(with_it) and with_it.startswith(before)
            spans.append((len(before), len(with_it)))
            prompt = before if i == len(messages) - 1 else None
    masks = [mask_of(encoding, [span], len(encoding.ids)) for span in spans]
    for mask in masks:
        last = max(i for i, m in enumerate(mask) if m)
        end = last
        while encoding.ids[end] not in added and not tokenizer.decode(encoding.ids[end]).strip():
            end -= 1
        if encoding.ids[end] in added:
            for i in range(end + 1, last + 1):
                mask[i] = 0
    return [int(any(m)) for m in zip(*masks)] if masks else [0] * len(encoding.ids), prompt


def conversation(tokenizer, messages, generation, marked):
    out = tokenizer.apply_chat_template(
        messages,
        add_generation_prompt=generation,
        return_dict=True,
        return_assistant_tokens_mask=bool(marked),
    )
    text = render(tokenizer, messages, generation)
    encoding = tokenizer._tokenizer.encode(text, add_special_tokens=False)
    assert encoding.ids == out["input_ids"]
    mask, prompt = assistant(tokenizer, messages, text, encoding)
    if marked:
        mask = out["assistant_masks"]
    prompt = text if prompt is None or generation else prompt
    prompt_ids = ids(tokenizer, prompt)
    assert encoding.ids[: len(prompt_ids)] == prompt_ids
    user = max(i for i, m in enumerate(messages) if m["role"] == "user")
    content = messages[user]["content"]
    said = next(c for c in (content, content.strip()) if c in prompt)
    other = messages[:user] + [turn("user", "QZQ")] + messages[user + 1 :]
    end = -1
    if said:
        last = render(tokenizer, other, generation).index("QZQ") + len(said)
        end = max(i for i, (a, b) in enumerate(encoding.offsets) if a < last <= b)
    return {
        "text": text,
        "ids": out["input_ids"],
        "assistant": mask,
        "instruction_end": end,
        "prompt_end": len(prompt_ids) - 1,
    }


def cases(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    marked = tokenizer.chat_template and "endgeneration" in tokenizer.get_chat_template()
    lines = []
    for name, text in TEXTS.items():
        row = {"id": f"text-{name}", "text": text}
        # A fresh tokenizer: transformers also undoes truncation and padding of the file.
        encoded = tokenizer(text)["input_ids"]
        lines.append({"row": row, "text": text, "ids": encoded})
        lines[-1]["decoded"] = tokenizer.decode(
            encoded, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    for name, messages in CONVERSATIONS.items() if tokenizer.chat_template else ():
        for generation in (False, True):
            row = {"id": name + ("-generate" if generation else ""), "messages": messages}
            if generation:
                row["add_generation_prompt"] = True
            lines.append({"row": row, **conversation(tokenizer, messages, generation, marked)})
    write(folder / "cases.jsonl", lines)


def write(file, lines):
    file.write_text("".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines))


def main():
    models_ = {
        "chatml": lambda f: chatml(f, "chatml"),
        "chatml-marked": lambda f: chatml(f, "chatml-marked"),
        "llama2": llama2,
        "llama3": llama3,
        "unigram": unigram,
    }
    for name, make in models_.items():
        shutil.rmtree(ROOT / name, ignore_errors=True)
        make(ROOT / name)
        cases(ROOT / name)


if __name__ == "__main__":
    main()
