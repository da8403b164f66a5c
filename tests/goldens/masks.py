"""Golden file for assistant masks: what `transformers` says the assistant said.

    python tests/goldens/masks.py

Holdfast finds the turns of the assistant in templates that do not mark them. Here the same
templates get {% generation %} marks by hand, around what is said and its end of turn, and
`transformers` makes masks of the marks; both templates must write the same text.

`text/masks/models.json` has, for each template of `text/templates`, the folder of `text` whose
tokenizer.json goes with it, and a tokenizer_config.json. `text/masks/cases.jsonl` has a line a
conversation of `text/templates/conversations.json`:

template
conversation, add_generation_prompt
ids            token ids
assistant      tokens that the assistant said, as stretches [from, to)
completion     those of the turn that the conversation ends with, from the end of the prompt for it
hidden         instead of these where the template leaves out what a turn says: that must be noticed
"""

import json
import logging
import tempfile
from itertools import groupby
from pathlib import Path
from unittest import mock

from templates import Clock, SAID
from text import ROOT, TEMPLATES, write
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

G, E = "{% generation %}", "{% endgeneration %}"
G_, E_ = "{%- generation %}", "{%- endgeneration %}"
SAID_BY = "{% if message['role'] == 'assistant' %}"


def added(content, **flags):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"content": content, **plain, **flags}


LLAMA2 = ("llama2", {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"})
LLAMA3 = ("llama3", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>",
                     "eos_token": "<|eot_id|>"})
CHATML = ("chatml", {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>",
                     "pad_token": "<|endoftext|>"})
MISTRAL = ("llama2", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                      "extra_special_tokens": ["[INST]", "[/INST]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]"]})
GEMMA = ("llama2", {"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                    "unk_token": "<unk>", "pad_token": "<unk>", "mask_token": None,
                    "extra_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
PHI = ("llama2", {
    "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
    "added_tokens_decoder": {
        str(460 + i): added(t, rstrip=True) for i, t in enumerate(["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"])
    } | {"2": added("</s>", rstrip=True, special=False)},
})
ZEPHYR = ("llama2", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"})

# What a template leaves out of a turn, and what is not compared: where the prompt for an answer itself
# holds empty thoughts they are not learnt, though they stand between the marks; and turns of roles
# that a template passes over, so that the end of the text is not the end of the conversation.
HIDDEN = {("thinker", "tool-call-id")}
NOT_COMPARED = {("qwen3-tools", "unthinking")} | {
    ("phi3", name) for name, said in SAID.items()
    if any(m["role"] not in ("system", "user", "assistant") for m in said["messages"])
}

# Tokenizer, template, and the places where marks go: [as it is, with marks]...
MARKED = [
    (CHATML, "chatml", [
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}",
        "{{'<|im_start|>' + message['role'] + '\\n'}}" + SAID_BY + G + "{{message['content'] + '<|im_end|>'}}" + E
        + "{{ '\\n' }}{% else %}{{message['content'] + '<|im_end|>' + '\\n'}}{% endif %}"]),
    (CHATML, "qwen3-tools", [
        "        {%- if loop.index0 > ns.last_query_index %}",
        "        {{- '<|im_start|>' + message.role + '\\n' }}" + G_ + "{%- if loop.index0 > ns.last_query_index %}",
        "'<|im_start|>' + message.role + '\\n<think>", "'<think>",
        "{{- '<|im_start|>' + message.role + '\\n' + content }}", "{{- content }}",
        "        {{- '<|im_end|>\\n' }}\n    {%- elif message.role == \"tool\" %}",
        "        {{- '<|im_end|>' }}" + E_ + "{{- '\\n' }}\n    {%- elif message.role == \"tool\" %}"]),
    (LLAMA2, "llama2", [
        "{{ ' ' + content.strip() + ' ' + eos_token }}",
        G + "{{ ' ' + content.strip() + ' ' + eos_token }}" + E]),
    (LLAMA3, "llama3-first", [
        "{{ content }}",
        SAID_BY + "{% set header = '<|start_header_id|>assistant<|end_header_id|>\\n\\n' %}"
        "{% set parts = content.split(header, 1) %}{{ parts[0] + header }}" + G + "{{ parts[1] }}" + E
        + "{% else %}{{ content }}{% endif %}"]),
    (LLAMA3, "llama3-tools", [
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}",
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}{%- if message.role == 'assistant' %}"
        + G_ + "{{- message['content'] | trim + '<|eot_id|>' }}" + E_
        + "{%- else %}{{- message['content'] | trim + '<|eot_id|>' }}{%- endif %}",
        "            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}\n", "",
        "        {%- if builtin_tools is defined and tool_call.name in builtin_tools %}",
        "        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}" + G_
        + "{%- if builtin_tools is defined and tool_call.name in builtin_tools %}",
        "            {{- \"<|eot_id|>\" }}\n        {%- endif %}\n    {%- elif message.role == \"tool\"",
        "            {{- \"<|eot_id|>\" }}\n        {%- endif %}" + E_ + "\n    {%- elif message.role == \"tool\""]),
    (LLAMA3, "llama3-marked", []),
    (CHATML, "smol-marked", []),
    (GEMMA, "gemma", [
        "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}",
        "{{ '<start_of_turn>' + role + '\n' }}" + SAID_BY + G + "{{ message['content'] | trim + '<end_of_turn>' }}" + E
        + "{{ '\n' }}{% else %}{{ message['content'] | trim + '<end_of_turn>\n' }}{% endif %}"]),
    (PHI, "phi3", [
        "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}",
        "{{'<|assistant|>\n'}}" + G + "{{message['content'] + '<|end|>\n'}}{% if loop.last and not add_generation_prompt %}"
        "{{ eos_token }}{% endif %}" + E,
        "{{ eos_token }}{% endif %}", "{% if messages[-1]['role'] != 'assistant' %}{{ eos_token }}{% endif %}{% endif %}"]),
    (PHI, "phi4-mini", [
        "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}",
        "{{ '<|' + message['role'] + '|>' }}" + SAID_BY + G + "{{ message['content'] + '<|end|>' }}"
        "{% if loop.last and not add_generation_prompt %}{{ eos_token }}{% endif %}" + E
        + "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}{% endif %}",
        "{{ eos_token }}{% endif %}", "{% if messages[-1]['role'] != 'assistant' %}{{ eos_token }}{% endif %}{% endif %}"]),
    (MISTRAL, "mistral-first", [
        "{{ message['content'] + eos_token}}", G + "{{ message['content'] + eos_token}}" + E]),
    (MISTRAL, "mistral-tools", [
        "{{- \" \" + message[\"content\"]|trim + eos_token}}",
        G_ + "{{- \" \" + message[\"content\"]|trim + eos_token}}" + E_,
        "{{- \"[TOOL_CALLS] [\" }}", G_ + "{{- \"[TOOL_CALLS] [\" }}",
        "        {%- endfor %}\n    {%- elif message[\"role\"] == \"assistant\" %}",
        "        {%- endfor %}" + E_ + "\n    {%- elif message[\"role\"] == \"assistant\" %}"]),
    (MISTRAL, "mistral-tekken", [
        "{{- message['content'] + eos_token }}", G_ + "{{- message['content'] + eos_token }}" + E_]),
    (ZEPHYR, "zephyr", [
        "{{ '<|assistant|>\n'  + message['content'] + eos_token }}",
        "{{ '<|assistant|>\n' }}" + G + "{{ message['content'] + eos_token }}" + E + "{{ '' }}"]),
    (ZEPHYR, "thinker", [
        "{{'<|Assistant|>' + content + eos_token}}", "{{'<|Assistant|>'}}" + G + "{{content + eos_token}}" + E,
        "{{'<|tool_outputs_end|>' + message['content'] + eos_token}}",
        "{{'<|tool_outputs_end|>'}}" + G + "{{message['content'] + eos_token}}" + E]),
]


def marked(name, places):
    source = (TEMPLATES / f"{name}.jinja").read_text()
    for old, new in zip(places[::2], places[1::2]):
        if old == "{{ eos_token }}{% endif %}":
            assert source.endswith(old + "\n"), name
            source = source[: -len(old) - 1] + new + "\n"
            continue
        assert old in source, (name, old)
        source = source.replace(old, new)
    return source


def tokenizer(base, config):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_text((ROOT / base / "tokenizer.json").read_text())
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer._tokenizer.no_truncation()
    tokenizer._tokenizer.no_padding()
    return tokenizer


def stretches(mask):
    found, at = [], 0
    for on, run in groupby(mask):
        end = at + len(list(run))
        found += [[at, end]] if on else []
        at = end
    return found


def case(tokenizer, name, template, plain, said, generation):
    """Ids and masks, or None where the template does not take the conversation."""
    told = {"tools": said.get("tools"), "documents": said.get("documents"), **said.get("variables", {})}

    def render(messages, source):
        return tokenizer.apply_chat_template(messages, chat_template=source, tokenize=True, return_dict=True,
                                             return_assistant_tokens_mask=True,
                                             add_generation_prompt=generation, **told)

    try:
        text = tokenizer.apply_chat_template(said["messages"], chat_template=plain, tokenize=False,
                                             add_generation_prompt=generation, **told)
    except Exception:
        return None
    out = render(said["messages"], template)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == out["input_ids"], text
    mask = out["assistant_masks"]
    last = []
    if said["messages"][-1]["role"] == "assistant" and not generation:
        _, spans = chat_template_utils.render_jinja_template(
            [said["messages"]], chat_template=template, return_assistant_tokens_mask=True,
            **{**tokenizer.special_tokens_map, **told})
        start = spans[0][-1][0]
        if name == "smol-marked":  # its marks begin before the prompt ends
            asked = {**told, "add_generation_prompt": True}
            start = len(tokenizer.apply_chat_template(said["messages"][:-1], chat_template=plain,
                                                      tokenize=False, **asked))
        start = out.char_to_token(start)
        last = [m if i >= start else 0 for i, m in enumerate(mask)]
    return {"ids": out["input_ids"], "assistant": stretches(mask), "completion": stretches(last)}


def main():
    logging.disable(logging.WARNING)
    lines = []
    with mock.patch.object(chat_template_utils, "datetime", Clock):
        for (base, config), name, places in MARKED:
            made = tokenizer(base, dict(config))
            template, plain = marked(name, places), (TEMPLATES / f"{name}.jinja").read_text()
            for conversation, said in SAID.items():
                silent = not any(m["role"] == "assistant" for m in said["messages"])
                if silent or (name, conversation) in NOT_COMPARED:
                    continue
                for generation in (False, True):
                    found = case(made, name, template, plain, said, generation)
                    if (name, conversation) in HIDDEN:
                        found = {"hidden": True}
                    if found:
                        lines.append({"template": name, "conversation": conversation,
                                      "add_generation_prompt": generation, **found})
    (ROOT / "masks").mkdir(exist_ok=True)
    models = {name: {"base": base, "config": config} for (base, config), name, _ in MARKED}
    (ROOT / "masks" / "models.json").write_text(json.dumps(models, indent=1) + "\n")
    write(ROOT / "masks" / "cases.jsonl", lines)


if __name__ == "__main__":
    main()
