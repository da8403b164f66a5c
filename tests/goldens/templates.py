"""Golden files for chat templates: what `transformers` and its jinja2 make of conversations.

    python tests/goldens/templates.py

`text/templates/<name>.jinja` are templates in the manner of those that public model families have,
written for this test: the same statements, filters and tests of the language in the same places,
with other words.

conversations.json   messages, and what else a template is told: tools, documents, variables
cases.jsonl          what a template makes of one of them: `text`, and `generated`, the characters
                     between {% generation %} marks, where it has them; or `refused`, what it says
                     when it refuses; or `fails`, the error
snippets.jsonl       a line a template, through the language itself

`strftime_now` says Thursday, 5 March 2026, 07:08:09.
"""

import datetime
import json
from unittest import mock

from text import ASK, ANSWERED, CONVERSATIONS, LONGER, TEMPLATES, turn, write
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2026, 3, 5, 7, 8, 9)

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
OTHER = {
    "type": "function",
    "function": {
        "name": "brave_search",
        "description": "Searches.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": " what for "},
                "limit": {"type": ["integer", "null"]},
                "filter": {"type": "object", "additionalProperties": {"type": "number"}},
            },
        },
        "return": {"type": "boolean"},
    },
}


def call(name, arguments, id="call12345"):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


def result(content):
    return turn("tool", content, name="weather", tool_call_id="call12345")


THOUGHTS = [
    turn("user", "x"),
    turn("assistant", "<think>\nhm\n</think>\n\n\nBoil."),
    turn("user", "y"),
    turn("assistant", "", reasoning_content="\nlook it up\n", tool_calls=[call("weather", {"town": "Oslo"})]),
    result("sunny"),
    turn("assistant", "Sun.", reasoning_content="seen"),
]
SAID = {name: {"messages": messages} for name, messages in CONVERSATIONS.items()} | {
    "tools": {"messages": LONGER[:2], "tools": [TOOL, OTHER]},
    "no-tools": {"messages": ASK, "tools": []},
    "tool-call": {"messages": ASK + [CALL, turn("tool", "sunny"), turn("assistant", "Sun.")], "tools": [TOOL]},
    "tool-call-id": {
        "messages": ASK + [turn("assistant", None, tool_calls=[call("weather", {"town": "Oslo"})]),
                           result("sunny"), turn("assistant", "Sun.")],
        "tools": [TOOL],
    },
    "tool-calls": {
        "messages": ASK + [turn("assistant", "Both:", tool_calls=[call("weather", {"n": [1, 2.5]}),
                                                                  call("brave_search", {"query": "é \"q\""})]),
                           result("sunny"), result("none")],
        "tools": [TOOL, OTHER],
    },
    "tool-text": {
        "messages": ASK + [turn("assistant", "", tool_calls=[call("weather", '{"town": "Oslo"}')]), result(["a", 1])],
        "tools": [OTHER],
    },
    "tool-object": {"messages": ASK + [CALL, turn("tool", {"sky": ["blue", None, True]})], "tools": [TOOL]},
    "tool-nested": {"messages": ASK + [CALL, result({"content": 5})], "tools": [TOOL]},
    "tools-in-system": {
        "messages": LONGER[:2], "tools": [TOOL], "variables": {"tools_in_user_message": False},
    },
    "tools-in-message": {"messages": [turn("system", "Be brief.", tools='[{"name": "f"}]')] + ASK},
    "builtin": {
        "messages": ASK + [turn("assistant", "", tool_calls=[call("brave_search", {"query": "rain", "n": 1})]),
                           turn("ipython", "wet")],
        "variables": {"builtin_tools": ["brave_search", "code_interpreter"], "date_string": "1 May 2025"},
    },
    "custom": {"messages": ASK, "variables": {"custom_tools": [OTHER], "enable_thinking": False}},
    "unthinking": {"messages": LONGER, "variables": {"enable_thinking": False}},
    "no-think": {"messages": [turn("system", "Be brief. /no_think ")] + ANSWERED},
    "documents": {
        "messages": LONGER[:2],
        "documents": [{"title": "Rice", "text": "Wash it."}, {"title": "Tea", "n": 2}],
        "variables": {"citation_mode": "accurate"},
    },
    "thoughts": {"messages": THOUGHTS, "tools": [TOOL]},
    "thoughts-open": {"messages": THOUGHTS[:-1]},
    "two-users": {"messages": ASK + ASK},
    "assistant-first": {"messages": [turn("assistant", "Hello."), turn("user", "Hi.")]},
    "late-system": {"messages": ANSWERED + [turn("system", "Now rhyme.")] + ASK},
    "thought": {
        "messages": ASK + [turn("assistant", "<think>\nhm\n</think>\n\nBoil."), turn("user", "x"),
                           turn("assistant", "<think>\nso\n</think>\n\nWash.")],
    },
    "parts": {"messages": [turn("user", [{"type": "text", "text": " one "}, {"type": "text", "text": "two"}])]},
    "skip": {
        "messages": ASK + [turn("assistant", "skip"), turn("user", "go on"), turn("assistant", "stop"),
                           turn("user", "more A-b, c")],
    },
    "named": {"messages": [turn("user", "who Am i", name="Zoë")]},
    "role": {"messages": [turn("critic", "hm")]},
}


class Clock(datetime.datetime):
    @classmethod
    def now(cls):
        return NOW


def case(path, name, said, generation):
    """A line of cases.jsonl."""
    line = {"template": path.stem, "conversation": name, "add_generation_prompt": generation}
    source = path.read_text()
    marked = "endgeneration" in source
    try:
        rendered, spans = chat_template_utils.render_jinja_template(
            [said["messages"]],
            tools=said.get("tools"),
            documents=said.get("documents"),
            chat_template=source,
            return_assistant_tokens_mask=marked,
            add_generation_prompt=generation,
            bos_token="<s>",
            eos_token="</s>",
            **said.get("variables", {}),
        )
        line["text"] = rendered[0]
        if marked:
            line["generated"] = spans[0]
    except Exception as error:  # a template that refuses, or that fails on odd rows
        refused = type(error).__name__ == "TemplateError"
        line["refused" if refused else "fails"] = str(error)
    return line


def renders():
    (TEMPLATES / "conversations.json").write_text(json.dumps(SAID) + "\n")
    lines = []
    for path in sorted(TEMPLATES.glob("*.jinja")):
        for name, said in SAID.items():
            lines += [case(path, name, said, generation) for generation in (False, True)]
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
    lines = []
    for written in SNIPPETS:
        source = written.replace("\\r", "\r")
        for escape, char in (("\\n", "\n"), ("\\t", "\t")):
            # Outside of quotes these stand for the characters; inside jinja reads them the same.
            source = source.replace(escape, char)
        try:
            rendered, _ = chat_template_utils.render_jinja_template(
                [ASK], chat_template=source, add_generation_prompt=False
            )
            lines.append({"template": source, "text": rendered[0]})
        except Exception as error:
            lines.append({"template": source, "fails": f"{type(error).__name__}: {error}"})
    write(TEMPLATES / "snippets.jsonl", lines)


def main():
    with mock.patch.object(chat_template_utils, "datetime", Clock):
        renders()
        snippets()


if __name__ == "__main__":
    main()
