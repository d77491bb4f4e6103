"""How a body is written, an answer read, and a right answer known in passing: a triple of functions for each protocol."""

import json
import re


def _compact(value):
    return json.dumps(value, separators=(",", ":"))


def _mlflow_body(columns, _types, rows):
    """Records for a single row, which is what callers send; the split form for more, which is the cheaper one."""
    if len(rows) == 1:
        return _compact({"dataframe_records": [dict(zip(columns, rows[0]))]})
    return _compact({"dataframe_split": {"columns": columns, "data": rows}})


def _v2_body(columns, types, rows):
    """A tensor for each column, which is what MLServer makes of a signature with named columns."""
    return _compact({
        "inputs": [
            {
                "name": column,
                "shape": [len(rows), 1],
                "datatype": "INT64" if kind.startswith("int") else "FP64",
                "data": [row[place] for row in rows],
            }
            for place, (column, kind) in enumerate(zip(columns, types))
        ]
    })


def _rows_body(_columns, _types, rows):
    return _compact({"rows": rows})


def _list_in(answer, key):
    """The part of an answer that holds the predictions, as this server prints it."""
    found = re.search(rf'"{key}":\s*\[.*?\]', answer, re.DOTALL)
    return found.group() if found else answer


MLFLOW = (_mlflow_body, lambda answer: answer["predictions"], lambda answer, _: _list_in(answer, "predictions"))
V2 = (_v2_body, lambda answer: answer["outputs"][0]["data"], lambda answer, _: _list_in(answer, "data"))
ROWS = (_rows_body, lambda answer: answer if isinstance(answer, list) else answer["predictions"],
        lambda answer, _: answer)
