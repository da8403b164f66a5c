"""Training rows in the files that pandas, pyarrow and datasets write.

Writes data/: SHAPE.jsonl, the rows as JSON Lines, and the same rows in every other format. A reader
must make the same examples of all files of a shape. Row groups and pages are small, so that a file
has several of each.

    python tests/goldens/data.py
"""

import gzip
import json
import pathlib
import random

import datasets
import pandas
import pyarrow
import pyarrow.parquet

OUT = pathlib.Path(__file__).parent / "data"
ODD = [
    "boil water, then wait",
    'say "tea", twice',
    "one\ntwo\n\nthree",
    "Käse 茶 😀",
    " spaces around ",
    "a\tb",
    "\\n is no line end",
    "; and , and ' and `",
]


def messages(draw):
    turns = [{"role": "system", "content": "be brief"}] if draw.random() < 0.3 else []
    for _ in range(draw.randint(1, 3)):
        turns.append({"role": "user", "content": draw.choice(ODD)})
        turns.append({"role": "assistant", "content": draw.choice(ODD)})
    return turns


def sharegpt(draw):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return [{"from": names[t["role"]], "value": t["content"]} for t in messages(draw)]


SHAPES = {
    "messages": lambda draw: {"messages": messages(draw)},
    "sharegpt": lambda draw: {"conversations": sharegpt(draw)},
    "alpaca": lambda draw: {
        "instruction": draw.choice(ODD),
        "input": draw.choice(["", draw.choice(ODD)]),
        "output": draw.choice(ODD),
        "system": draw.choice(["", "be brief"]),
    },
    "dolly": lambda draw: {
        "instruction": draw.choice(ODD),
        "context": draw.choice(["", draw.choice(ODD)]),
        "response": draw.choice(ODD),
    },
    "completion": lambda draw: {"prompt": draw.choice(ODD), "completion": draw.choice(ODD)},
    "turns": lambda draw: {
        "prompt": [{"role": "user", "content": draw.choice(ODD)}],
        "completion": [{"role": "assistant", "content": draw.choice(ODD)}],
    },
    "text": lambda draw: {"text": draw.choice(ODD)},
}


def rows(shape):
    draw = random.Random(shape)
    return [
        {"id": f"{shape}-{i}", **SHAPES[shape](draw), "risk": draw.randint(0, 8) / 8}
        for i in range(12)
    ]


def write(shape):
    made = rows(shape)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
    (OUT / f"{shape}.jsonl").write_text(lines, encoding="utf-8")
    with gzip.GzipFile(OUT / f"{shape}.jsonl.gz", "wb", mtime=0) as packed:
        packed.write(lines.encode())
    (OUT / f"{shape}.json").write_text(json.dumps(made, indent=1), encoding="ascii")
    (OUT / f"{shape}.object.json").write_text(
        json.dumps({"version": 1, "notes": ["none"], "data": made}, ensure_ascii=False),
        encoding="utf-8",
    )
    frame = pandas.DataFrame(made)
    frame.to_parquet(OUT / f"{shape}.pandas.parquet", row_group_size=5)
    table = pyarrow.Table.from_pylist(made)
    for codec in ["none", "gzip", "zstd", "lz4"]:
        pyarrow.parquet.write_table(
            table,
            OUT / f"{shape}.{codec}.parquet",
            compression=codec,
            use_dictionary=codec == "zstd",
            row_group_size=7,
            data_page_size=64,
            data_page_version="2.0" if codec in ("zstd", "none") else "1.0",
        )
    datasets.Dataset.from_list(made).to_parquet(OUT / f"{shape}.datasets.parquet", batch_size=5)
    datasets.Dataset.from_list(made).to_json(OUT / f"{shape}.datasets.jsonl")
    if shape == "turns":
        return  # A cell with a list in it and a cell with text could not be told apart.
    for field in [name for name, value in made[0].items() if isinstance(value, list)]:
        frame[field] = [json.dumps(turns, ensure_ascii=False) for turns in frame[field]]
    frame.to_csv(OUT / f"{shape}.csv")
    frame.to_csv(
        OUT / f"{shape}.excel.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n"
    )
    frame.to_csv(OUT / f"{shape}.tsv", sep="\t", index=False, quoting=1)


def ragged():
    """Turns that do not all have the same fields: a table fills the others with nulls."""
    call = {"function": {"name": "kettle", "arguments": {"litres": 1}}, "type": "function"}
    made = [
        {
            "messages": [
                {"role": "user", "content": "boil a litre"},
                {"role": "assistant", "content": "done", "tool_calls": [call]},
                {"role": "tool", "name": "kettle", "content": "100 C"},
                {"role": "assistant", "content": "It boils."},
            ]
        },
        {"messages": [{"role": "user", "content": "hm"}, {"role": "assistant", "content": "so"}]},
    ]
    (OUT / "ragged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    datasets.Dataset.from_list(made).to_parquet(OUT / "ragged.datasets.parquet")


def kinds():
    """A column of every plain type, beside a text."""
    import datetime
    import decimal

    table = pyarrow.table(
        {
            "text": ["the cat", "sat", None],
            "risk": pyarrow.array([decimal.Decimal("0.25"), decimal.Decimal("1.00"), None]),
            "small": pyarrow.array([1, -2, None], pyarrow.int8()),
            "flag": [True, False, None],
            "half": pyarrow.array([0.5, -0.25, None], pyarrow.float32()),
            "day": [datetime.date(2026, 1, 2), None, None],
            "time": pyarrow.array([1, 2, None], pyarrow.timestamp("ns")),
            "picture": [b"\xff\x00", b"\x89PNG", None],
            "map": pyarrow.array(
                [[("a", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())
            ),
            "empty": pyarrow.array([[], None, [1]], pyarrow.list_(pyarrow.int32())),
            "word": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
        }
    )
    pyarrow.parquet.write_table(table, OUT / "kinds.parquet", use_deprecated_int96_timestamps=True)
    pyarrow.parquet.write_table(table, OUT / "brotli.parquet", compression="brotli")


def main():
    OUT.mkdir(exist_ok=True)
    for file in OUT.iterdir():
        file.unlink()
    for shape in SHAPES:
        write(shape)
    ragged()
    kinds()


if __name__ == "__main__":
    main()
