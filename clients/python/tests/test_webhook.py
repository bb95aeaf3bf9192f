"""Signatures of webhooks: the vectors of the specification, and what goes wrong in practice."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Dict, Mapping, Union

import pytest

from tidings_server import WebhookError, check_signature, verify_webhook

VECTORS = json.loads((Path(__file__).parents[3] / "spec/webhook-vectors.json").read_text("utf-8"))
VERDICTS = {"form": "malformed_signature", "time": "too_old", "mismatch": "bad_signature"}
BODY = json.dumps({"noticeId": "n1", "type": "user.login", "notifyMs": 1_700_000_000_123})
NOW = 1_700_000_000.9


def stamp(body: str, secret: str = "whsec", made: int = 1_700_000_000) -> Dict[str, str]:
    signature = hmac.new(secret.encode(), f"{made}.{body}".encode(), hashlib.sha256).hexdigest()
    return {"Tidings-Signature": f"t={made},v1={signature}"}


def fails(code: str, body: Union[str, bytes], headers: Mapping[str, str], **options: Any) -> None:
    given: Dict[str, Any] = {"secrets": "whsec", "now": NOW, **options}
    with pytest.raises(WebhookError) as raised:
        verify_webhook(body, headers, **given)
    assert (raised.value.code, bool(raised.value.hint)) == (code, True)


@pytest.mark.parametrize("row", VECTORS["verified"], ids=lambda row: str(row["why"]))
def test_verified(row: Dict[str, Any]) -> None:
    headers = {"tidings-signature": row["header"]}
    if row["verdict"] == "good":
        check_signature(row["body"], headers, row["secret"], now=row["now"])
        return
    with pytest.raises(WebhookError) as raised:
        check_signature(row["body"], headers, row["secret"], now=row["now"])
    assert raised.value.code == VERDICTS[row["verdict"]]


@pytest.mark.parametrize("row", VECTORS["signed"], ids=lambda row: str(row["secret"])[:9])
def test_signed(row: Dict[str, Any]) -> None:
    body, now = row["body"], row["t"]
    own = [secret for secret in (row["secret"], row["next_secret"]) if secret]
    hosted = {name: value for name, value in row["headers"].items() if name != "tidings-signature"}
    for secret in own:
        check_signature(body, row["headers"], secret, now=now)
        check_signature(body.encode(), row["headers"], ["another", secret], now=now)
        # Behind a proxy that passes on only what the hosted service has; time is the body's.
        check_signature(body, hosted, secret, tolerance=0)
    with pytest.raises(WebhookError) as raised:
        check_signature(body, row["headers"], "another", now=now)
    assert raised.value.code == "bad_signature"
    with pytest.raises(WebhookError) as raised:
        check_signature(body, hosted, row["secret"])
    assert raised.value.code == "too_old"


def test_a_genuine_event_is_read() -> None:
    assert verify_webhook(BODY, stamp(BODY), "whsec", now=NOW)["noticeId"] == "n1"
    event = verify_webhook(BODY.encode(), stamp(BODY), ["new", "whsec"], now=NOW)
    assert event["type"] == "user.login"


def test_what_is_not_genuine_is_refused() -> None:
    fails("no_signature", BODY, {})
    fails("bad_signature", BODY + " ", stamp(BODY))
    fails("bad_signature", json.dumps(json.loads(BODY), indent=2), stamp(BODY))
    fails("no_secret", BODY, stamp(BODY), secrets="")
    fails("no_secret", BODY, stamp(BODY), secrets=[])
    fails("bad_body", "no json", stamp("no json"))
    fails("bad_body", "[1]", stamp("[1]"))
    for header in ("", "t=1", "v1=00", "t=,v1=00", "t=1,v1=0", "t=-1,v1=00", "t=1 v1=00", "x"):
        fails("malformed_signature", BODY, {"tidings-signature": header})
    fails("malformed_signature", BODY, {"tidings-signature": f"t={'9' * 40},v1=00"})
    head, signature = stamp(BODY)["Tidings-Signature"].split("v1=")
    for cut in ("", signature[:62], signature + "00"):
        fails("bad_signature", BODY, {"tidings-signature": f"{head}v1={cut}"})
    fails("malformed_signature", BODY, {"tidings-signature": f"{head}v1=grüße"})
    # The timed header counts where it is there: without its time, an old request could be sent
    # again.
    plain = hmac.new(b"whsec", BODY.encode(), hashlib.sha256).hexdigest()
    both = {**stamp(BODY, made=1_600_000_000), "agora-signature-v2": plain}
    fails("too_old", BODY, both)
