"""llama.cpp makes a grammar of every schema of the corpus, and what its model writes under it is valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
import pytest

from kimi_magic.schema import Output, output, parameters
from tests import schema_corpus as corpus
from tests.local_server import RUN, body_for, serving

ASKED = ["int", "bool", "date", "Enum", "Literal of several kinds", "list of one to three", "Annotated", "tuple of two"]
ASKED += ["dataclass", "alias", "union of models", "choices"]


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with serving("--engine", "llama", "--context", "1024") as client:
        yield client


def asked(server: httpx.Client, made: Output, tokens: int) -> dict[str, Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": made.name, "schema": made.schema, "strict": True}}
    answer = server.post(RUN, json=body_for("Give one short example.", response_format=wanted, max_tokens=tokens))
    assert answer.is_success, answer.text
    return answer.json()["result"]["choices"][0]


def test_every_schema_of_a_reply_is_taken(server: httpx.Client) -> None:
    for wanted, _ in corpus.OUTPUTS.values():
        asked(server, output(wanted, namespace=vars(corpus)), 1)


def test_every_schema_of_parameters_is_taken(server: httpx.Client) -> None:
    made = [parameters(function) for function, *_ in corpus.CALLS]
    tools = [
        {"type": "function", "function": {"name": f"tool_{n}", "description": "x", "parameters": one.schema}}
        for n, one in enumerate(made)
    ]
    for n in range(0, len(tools), 8):  # as many as fit the window
        answer = server.post(RUN, json=body_for("Hi", tools=tools[n : n + 8], max_tokens=1))
        assert answer.is_success, answer.text


@pytest.mark.parametrize("name", ASKED)
def test_what_is_written_under_a_schema_is_valid(server: httpx.Client, name: str) -> None:
    made = output(corpus.OUTPUTS[name][0], namespace=vars(corpus))
    choice = asked(server, made, 80)
    assert choice["finish_reason"] == "stop"
    made.parse(choice["message"]["content"])


def test_rows_like_a_dataframe_are_kept_although_the_reply_is_cut(server: httpx.Client) -> None:
    table = pd.DataFrame(
        {
            "city": pd.Categorical(["Rome", "Paris"]),
            "people": [2_700_000, None],
            "day": pd.to_datetime(["2026-02-03"] * 2),
        }
    )
    made = output(None, like=table)
    text = asked(server, made, 110)["message"]["content"]
    rows, errors = made.salvage(text)
    assert rows == made.partial(text)
    assert rows
    assert made.frame(rows).dtypes.equals(table.dtypes)
    assert all("is cut" in error or "is missing" in error for error in errors)
