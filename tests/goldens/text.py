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

`text/templates/<name>.jinja` are minimal equivalents of the templates that public model families
have, written for this test; `text/templates/cases.jsonl` holds conversations and what jinja2 makes
of them, or `refused`, what the template says when it refuses; `text/templates/snippets.jsonl` goes
through the language itself.
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
        post_processor=processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair=None, special_tokens=[("<|begin_of_text|>", 0)]
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


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's weather, \"now\" & <here>",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string", "enum": ["Köln", "Oslo"]}, "days": {}},
            "required": ["town"],
        },
    },
}
CALL = turn(
    "assistant",
    "",
    tool_calls=[
        {"type": "function", "function": {"name": "weather", "arguments": {"town": "Oslo", "n": 1.5}}}
    ],
)
MORE = {
    "tools": (LONGER[:2], [TOOL, TOOL]),
    "tool-call": (ASK + [CALL, turn("tool", "sunny"), turn("assistant", "Sun.")], [TOOL]),
    "tool-object": (ASK + [CALL, turn("tool", {"sky": ["blue", None, True]})], [TOOL]),
    "two-users": (ASK + ASK, None),
    "assistant-first": ([turn("assistant", "Hello."), turn("user", "Hi.")], None),
    "late-system": (ANSWERED + [turn("system", "Now rhyme.")] + ASK, None),
    "thought": (
        ASK + [turn("assistant", "<think>\nhm\n</think>\n\nBoil."), turn("user", "x"),
               turn("assistant", "<think>\nso\n</think>\n\nWash.")],
        None,
    ),
    "parts": ([turn("user", [{"type": "text", "text": " one "}, {"type": "text", "text": "two"}])], None),
    "skip": (ASK + [turn("assistant", "skip"), turn("user", "go on"), turn("assistant", "stop"),
             turn("user", "more A-b, c")], None),
    "named": ([turn("user", "who Am i", name="Zoë")], None),
    "role": ([turn("critic", "hm")], None),
}


def renders():
    from transformers.utils.chat_template_utils import render_jinja_template

    lines = []
    for path in sorted(TEMPLATES.glob("*.jinja")):
        rows = {name: (messages, None) for name, messages in CONVERSATIONS.items()} | MORE
        for name, (messages, tools) in rows.items():
            for generation in (False, True):
                row = {
                    "id": f"{path.stem}/{name}" + ("-generate" if generation else ""),
                    "template": path.stem,
                    "messages": messages,
                    "add_generation_prompt": generation,
                }
                if tools:
                    row["tools"] = tools
                try:
                    rendered, _ = render_jinja_template(
                        [messages],
                        tools=tools,
                        chat_template=path.read_text(),
                        add_generation_prompt=generation,
                        bos_token="<s>",
                        eos_token="</s>",
                    )
                    row["text"] = rendered[0]
                except Exception as error:  # a template that refuses, or that fails on odd rows
                    if type(error).__name__ == "TemplateError":
                        row["refused"] = str(error)
                    else:
                        row["fails"] = str(error)
                lines.append(row)
    write(TEMPLATES / "cases.jsonl", lines)


# One line a template: white space, expressions, statements, and what must fail.
SNIPPETS = r"""
{% if true %}\n  a\n{% endif %}\nb\n
  {% if true %}  a  {% endif %}  \n  b
  {%- if true -%}  a  {%- endif -%}  \n  b
  {%+ if true %}  a\n  {%+ endif +%}\n  b
a {#- c -#} b {# d #}\n  {# e #}\nf
a\n  {{ 1 }}\n  {{- 2 -}}\n  3
{{ 1 }}\n{% set x = 1 %}\n{% set y = 2 %}\n{{ x }}\n\n
\n{% for i in [1, 2] %}\n  {{ i }}\n{% endfor %}\n
{% raw -%}\n  {{ x }} {% y %}\n{%- endraw %}\nz
x{% raw %}{{ '{%' }}{% endraw %}y
{% for i in [1,2,3] -%}{{ i }},{%- endfor %}
{{ '}}' }}{{ "%}" }}{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a': {}}}}
\r\na\r\n{% if true %}\r\nb{% endif %}
\t{% set x = 1 %}\tb\n \u00a0{% set x = 1 %}c
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ 7.5 % 2 }}
{{ 10 / 5 }} {{ 1e3 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e-5 }} {{ 123456789.125 }} {{ 1_000 }} {{ 1e22 }} {{ 1.5e300 }} {{ -0.0 }}
{{ 1 ~ 2 * 3 }} {{ 'a' ~ 1.5 ~ none ~ true }} {{ 'a' + 'b' * 2 }} {{ 3 * 'ab' }} {{ true + 1 }}
{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ true == 1 }} {{ none == false }}
{{ 1 in [1, 2] }} {{ 'a' not in 'abc' }} {{ 'k' in {'k': 1} }} {{ 1 in (1, 2) }} {{ not 1 in [1] }} {{ 1.0 in [1] }}
{{ not x is defined }} {{ not 1 == 2 }} {{ x is not defined and true }} {{ not none is none }}
{{ x }} {{ x is undefined }} {{ x | default('d') }} {{ x | length }} {{ x or 'o' }} {{ x == y }} {{ x ~ 'a' }}
{{ none }} {{ none or 0 }} {{ 0 and 1 }} {{ [] or {} }} {{ 'a' and 'b' or 'c' }} {{ (none).a }} {{ none is defined }}
{{ 'yes' if 1 }}{{ 'no' if 0 }}|{{ 'a' if 0 else 'b' if 0 else 'c' }}|{{ ('a' if 1 else 'b') ~ 'c' }}|{{ 'x' ~ 'a' if 0 else 'b' }}
{{ [1, 'a', none, true, 1.5, [2], (3,), {'k': 'v'}] }} {{ ("it's", 'say "x"', 'both \'"') }} {{ () }} {{ 'a\nb\tc\\d' }} {{ ['\n\\\x07é😀'] }}
{{ 'abc'[0] }}{{ 'abc'[-1] }}{{ 'abc'[5] }}|{{ [1, 2, 3][-2] }}{{ [1][9] }}|{{ {'a': 1}.b }}|{{ {'a': 1}['a'] }}|{{ (1, 2).0 }}
{{ 'abcdef'[1:4] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[::2] }} {{ 'abcdef'[-3:] }} {{ 'abcdef'[:-10] }} {{ 'abcdef'[4:1:-1] }} {{ [1, 2, 3][1:] }} {{ [1, 2, 3][::-1] }} {{ 'a😀b'[1] }} {{ 'a😀b'[::-1] }} {{ 'a😀b' | length }} {{ (1, 2, 3)[:2] }} {{ 'abc'[5:] }} {{ 'abcdef'[10:2:-2] }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c'.split(' ', maxsplit=1) }} {{ ''.split(',') }} {{ ''.split() }} {{ 'a--b'.split('--') }}
{{ '  x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.strip('ab') }}|{{ ' x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ '\u00a0x\u2003'.strip() }}|{{ '\n\nx\n'.lstrip('\n') }}
{{ 'Hello'.startswith('He') }} {{ 'Hello'.endswith(('lo', 'x')) }} {{ 'a-b'.replace('-', '+') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.find('c') }} {{ 'abc'.find('z') }} {{ 'abab'.count('ab') }} {{ 'abab'.rfind('ab') }}
{{ "they're bill's".title() }} {{ 'éCOLE'.capitalize() }} {{ 'straße'.upper() }} {{ 'ÀÉ'.lower() }} {{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'ab'.isalpha() }} {{ 'AB'.isupper() }} {{ ' '.isspace() }}
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'a=b=c'.partition('=') }} {{ 'a\nb'.splitlines() }} {{ '-'.join(['a', 'b']) }}
{{ {'b': 1, 'a': 2}.items() | list }} {{ {'b': 1}.keys() | list }} {{ {'b': 1}.values() | list }} {{ {'b': 1}.get('b') }} {{ {'b': 1}.get('c', 'd') }} {{ {'b': 1}.get('c') }} {{ [3, 4].index(4) }} {{ [1, 1].count(1) }}
{{ {'items': 5}.items is callable }} {{ {'items': 5}['items'] }} {{ {'x': 5}.x }} {{ {1: 'a'}[1] }}
{{ ' a ' | trim }}|{{ 'xax' | trim('x') }}|{{ [1, 2] | join }}|{{ [1, 2] | join(', ') }}|{{ 'abc' | join('-') }}|{{ [{'n': 1}, {'n': 2}] | join(',', attribute='n') }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }} {{ [{'n': 2}, {'n': 1}] | sort(attribute='n') }} {{ [1, 1, 2] | unique | list }} {{ ['a', 'A'] | unique | list }}
{{ [1, 2, 3] | sum }} {{ [1, 2, 3] | min }} {{ [1, 2, 3] | max }} {{ [] | first }}|{{ [] | sum }} {{ [1, 2] | first }} {{ [1, 2] | last }} {{ 'abc' | first }} {{ [{'n': 1}] | sum(attribute='n') }}
{{ [1, 2, 3, 4] | select('odd') | list }} {{ [1, 2, 3, 4] | reject('divisibleby', 2) | list }} {{ [0, 1, none] | select | list }} {{ ['a', 'b'] | map('upper') | list }} {{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }} {{ [{}] | map(attribute='a', default='z') | list }}
{{ [{'r': 'u'}, {'r': 'a'}, {}] | selectattr('r', 'equalto', 'u') | list }} {{ [{'r': 1}, {'r': 0}, {}] | selectattr('r') | list }} {{ [{'r': 1}, {}] | selectattr('r', 'defined') | list }} {{ [{'r': 1}, {}] | rejectattr('r', 'defined') | list }} {{ [{'r': 'u'}] | selectattr('r', 'in', ['u']) | list }}
{{ 'a\nb' | indent }}|{{ 'a\n\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}
{{ '3' | int }} {{ 'x' | int }} {{ 'x' | int(9) }} {{ 3.9 | int }} {{ '1.5' | float }} {{ 2 | float }} {{ -3 | abs }} {{ 2.5 | round }} {{ 2.345 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 5 | string }}
{{ '<a href="x">\'&' | e }} {{ '<b>' | safe }} {{ 'hello world' | title }} {{ 'hello' | capitalize }} {{ 'a b' | replace(' ', '_') }} {{ 'aXbX' | replace('X', '-', 1) }} {{ 'a b c' | wordcount }}
{{ '%s and %d%%' | format('x', 3) }} {{ '%s' % 'y' }} {{ '%s-%s' % (1, none) }}
{{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1} | items | list }} {{ [1, 2, 3] | reverse | list }} {{ 'abc' | reverse }} {{ 'abc' | list }} {{ 5 is number }} {{ '5' is string }}
{{ {'a': [1, 2.0, 1e20, none, true], 'é\u2028': '"\\/\b\f\n\r\t\x01\x7f😀'} | tojson }}
{{ {'a': [1, {}], 'b': []} | tojson(indent=2) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ [1, 2] | tojson(separators=(',', ':')) }} {{ 'é😀' | tojson(ensure_ascii=true) }} {{ (1, 2) | tojson }} {{ {1: 2} | tojson }}
{% for a, b in {'x': 1, 'y': 2}.items() %}{{ loop.index }}{{ a }}{{ b }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.cycle('p', 'q') }} {% endfor %}
{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}{% for c in 'a😀' %}{{ c }};{% endfor %}{% for i in x %}never{% else %}none{% endfor %}
{% for i in [1, 2, 3] if i != 2 %}{{ i }}/{{ loop.length }}{{ loop.nextitem }} {% endfor %}{% for i in [1,2,3,4] %}{% if i == 2 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}
{% set ns = namespace(n=0, l=[]) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.n }}{{ ns.l }}{{ ns.zzz }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = 1, 2 %}{{ t }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}
{% set x %}  a {{ 1 }} {% endset %}[{{ x }}]{% set y | trim | upper %}  b {% endset %}[{{ y }}]{% filter upper | replace('B', 'c') %}ab{% endfilter %}
{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=5, a=4) }}{{ m() }}{{ m(1) | upper }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}{% set f2 = f %}{{ f2(1) }}
{% set g = 'outer' %}{% macro m() %}{{ g }}{% set g = 'inner' %}{{ g }}{% endmacro %}{{ m() }}{{ g }}
{% with a = 1, b = 2 %}{{ a + b }}{% set c = 3 %}{% endwith %}{{ a }}{{ c }}
{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }}{{ loop.first }} {% endfor %}{% endfor %}{{ range(5, 0, -2) | list }}{{ range(3)[1] }}
{% for m in messages if m.role == 'user' or m.role == 'x' %}{{ m.content }}{% endfor %}{{ messages[0] == messages[-1] }}{{ messages | length }}
{% if x %}a{% elif not x and 1 %}b{% else %}c{% endif %}{% if [] %}d{% endif %}{% if 'False' %}e{% endif %}{% if 0.0 %}f{% endif %}
{{ 1 is odd }} {{ 2 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is integer }} {{ true is integer }} {{ 1.0 is float }} {{ true is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is sameas none }} {{ 'a' is eq 'a' }} {{ 1 is in [1] }} {{ 'abc' is lower }} {{ 2 is gt 1 }}
{{ [1] is iterable }} {{ 1 is iterable }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ x is string }} {{ none is none }} {{ x is none }} {{ raise_exception is callable }} {{ (1, 2) is sequence }} {{ true is number }}
{{ dict(a=1, b='c') }} {{ dict({'x': 1}, y=2) }} {{ 'a' 'b' "c" }} {{ "\x41\u00e9\U0001F600\q" }} {{ 'it\'s' }}
{{ [1, 2,] }} {{ {'a': 1,} }} {{ (1,) }} {{ [[1, 2][0]] }} {{ ((1)) }} {{ {'a': 1}.a + 1 }} {{ -(1) + +2 }} {{ - 1 | abs }} {{ (-1) | abs }}
{{ 'a' | upper ~ 'b' | upper }} {{ 1 + 2 | string | length }} {{ not 'a' | length == 1 }} {{ ['a', 'b'] | join(',') | length }}
{{ raise_exception('no: ' ~ 1) }}
{{ x.y }}
{{ x() }}
{{ none.a.b }}
{{ x + 1 }}
{{ 'a' + 1 }}
{{ 1 < 'a' }}
{{ none | length }}
{{ 'a' in none }}
{{ 1 | nope }}
{{ 1 is nope }}
{% nope %}
{{ [].append(1) }}
{{ 'a'.nope() }}
{{ 1 / 0 }}
{% for i in none %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% if true %}
{{ 1
{{ 'a }}
{% endif %}
{{ x[1:2] }}
{{ [1] + (2,) }}
{{ x | tojson }}
{% set x.y = 1 %}
{{ {'a': 1} < {'a': 2} }}
""".strip("\n").split("\n")


def snippets():
    from transformers.utils.chat_template_utils import render_jinja_template

    lines = []
    for written in SNIPPETS:
        source = written.replace("\\r", "\r")
        for escape, char in (("\\n", "\n"), ("\\t", "\t")):
            # Outside of quotes these stand for the characters; inside jinja reads them the same.
            source = source.replace(escape, char)
        try:
            rendered, _ = render_jinja_template(
                [ASK], chat_template=source, add_generation_prompt=False
            )
            lines.append({"template": source, "text": rendered[0]})
        except Exception as error:
            lines.append({"template": source, "fails": f"{type(error).__name__}: {error}"})
    write(TEMPLATES / "snippets.jsonl", lines)


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
    renders()
    snippets()


if __name__ == "__main__":
    main()
