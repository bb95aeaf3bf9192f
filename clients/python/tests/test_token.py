"""Tokens that are made here: the fields of the specification's example."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any, Dict

import pytest

from tidings_server import TidingsError, build_token

TABLE = (Path(__file__).parents[3] / "server/token/tests/vectors.json").read_text("utf-8")
VECTOR = next(row for row in json.loads(TABLE)["vectors"] if row["name"] == "007_ok_rtm")
GOOD: Dict[str, Any] = {
    "app": VECTOR["app_id"],
    "certificate": VECTOR["app_certificate"],
    "user": VECTOR["user_id"],
}


def inflated(token: str) -> bytes:
    """Compressors differ, and the bytes below them do not."""
    return zlib.decompress(base64.b64decode(token[3:]))


def test_a_token_has_the_bytes_that_the_format_asks_for() -> None:
    token = build_token(**GOOD, ttl=3600, issued_at=VECTOR["now"], salt=0x00BC614F)
    assert token.startswith("007eJ")
    assert inflated(token) == inflated(VECTOR["token"])
    assert build_token(**GOOD) != build_token(**GOOD), "the salt is random"


@pytest.mark.parametrize(
    "wrong",
    [
        {"app": "short"},
        {"certificate": ""},
        {"user": ""},
        {"user": "u" * 70_000},
        {"ttl": 0},
        {"ttl": 1.5},
        {"ttl": 86_401},
    ],
)
def test_wrong_fields_are_told(wrong: Dict[str, Any]) -> None:
    with pytest.raises(TidingsError) as raised:
        build_token(**{**GOOD, **wrong})
    assert raised.value.code == "invalid_argument"
    assert raised.value.hint
