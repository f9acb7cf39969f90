"""llama.cpp makes a grammar of every schema of the corpus, and what its model writes under it is valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
import pytest

from kimi_magic.schema import Output, output, parameters
from tests import schema_corpus as corpus
from tests.local_server import RUN, body_for, serving

ASKED = ["int", "date", "Enum", "Literal of several kinds", "list of one to three", "Annotated"]
ASKED += ["dataclass", "choices"]


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with serving("--engine", "llama", "--context", "1024") as client:
        yield client


def sent(server: httpx.Client, schema: dict[str, Any], tokens: int) -> httpx.Response:
    wanted = {"type": "json_schema", "json_schema": {"name": "value", "schema": schema, "strict": True}}
    return server.post(RUN, json=body_for("Give one short example.", response_format=wanted, max_tokens=tokens))


def asked(server: httpx.Client, made: Output, tokens: int) -> dict[str, Any]:
    answer = sent(server, made.schema, tokens)
    assert answer.is_success, answer.text
    return answer.json()["result"]["choices"][0]


def test_every_schema_is_taken(server: httpx.Client) -> None:
    replies = [output(wanted, namespace=vars(corpus)).schema for wanted, _ in corpus.OUTPUTS.values()]
    calls = [parameters(function).schema for function, *_ in corpus.CALLS]
    for schema in {json.dumps(schema): schema for schema in replies + calls}.values():
        answer = sent(server, schema, 1)
        assert answer.is_success, (schema, answer.text)
    assert sent(server, {"type": "object", "properties": {"a": {"$ref": "#/$defs/Nothing"}}}, 1).status_code == 400


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
