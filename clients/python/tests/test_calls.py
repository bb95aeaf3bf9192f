"""What each call sends, and what it makes of the answer: by the table of all languages."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Callable, Dict

import anyio
import pytest

from fake import APP, Fake, answers, says
from tidings_server import ApiError, AsyncTidings, Tidings

TABLE = json.loads((Path(__file__).parents[2] / "server-calls.json").read_text("utf-8"))
Row = Dict[str, Any]


def own(value: Any) -> Any:
    is_bytes = isinstance(value, dict) and "bytes" in value
    return base64.b64decode(value["bytes"]) if is_bytes else value


def ask_sync(fake: Fake, call: str, args: Any, options: Any) -> Any:
    with Tidings(fake.endpoint, "tdk_id_secret", APP) as tidings:
        return getattr(tidings, call)(*args, **options)


def ask_async(fake: Fake, call: str, args: Any, options: Any) -> Any:
    async def ask() -> Any:
        async with AsyncTidings(fake.endpoint, "tdk_id_secret", APP) as tidings:
            return await getattr(tidings, call)(*args, **options)

    return anyio.run(ask)


Ask = Callable[[Fake, str, Any, Any], Any]
BOTH = pytest.mark.parametrize("ask", [ask_sync, ask_async])


def has(error: ApiError, fields: Row) -> None:
    assert {name: getattr(error, name) for name in fields} == fields


@BOTH
@pytest.mark.parametrize("row", TABLE["calls"], ids=lambda row: str(row["call"]))
def test_call(row: Row, ask: Ask) -> None:
    answer = row.get("answer")
    request = row["request"]
    args = [own(value) for value in row.get("args", [])]
    with Fake(answers(204) if answer is None else answers(200, answer)) as fake:
        if "fails" in row:
            with pytest.raises(ApiError) as raised:
                ask(fake, row["call"], args, row.get("options", {}))
            has(raised.value, row["fails"])
        else:
            given = ask(fake, row["call"], args, row.get("options", {}))
            if answer is not None:
                assert given == row.get("gives", answer)
        (sent,) = fake.asked
    assert sent.method == request["method"]
    assert sent.path == f"/api/v1/apps/{APP}{request['path']}"
    assert sent.query == request.get("query", {})
    assert (json.loads(sent.body) if sent.body else None) == request.get("body")
    assert sent.headers["authorization"] == "Bearer tdk_id_secret"
    assert ("idempotency-key" in sent.headers) == (sent.method == "POST")


@BOTH
@pytest.mark.parametrize("row", TABLE["refusals"], ids=lambda row: str(row["why"]))
def test_refusal(row: Row, ask: Ask) -> None:
    told = row["answer"]
    headers = told.get("headers")
    answer = (
        says(told["status"], told["text"], headers)
        if "text" in told
        else answers(told["status"], told["body"], headers)
    )
    with Fake(answer) as fake:
        with pytest.raises(ApiError) as raised:
            ask(fake, "bans", [], {})
        has(raised.value, row["fails"])
        assert len(fake.asked) == 1, "it was not asked again"
