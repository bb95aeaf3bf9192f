"""Is a webhook's request from the server, unchanged and fresh?"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from ._errors import WebhookError

# How old a request may be, and how far ahead of this machine's clock, in seconds.
_TOLERANCE_S = 300
_NOT_OURS = (
    "Answer 401. If it is a request of your own server, check the secret, and that `body` is what "
    "came, byte for byte."
)
Secrets = Union[str, Sequence[str]]


def verify_webhook(
    body: Union[bytes, str],
    headers: Mapping[str, str],
    secrets: Secrets,
    *,
    tolerance: int = _TOLERANCE_S,
    now: Optional[float] = None,
) -> Dict[str, Any]:
    """The event of a genuine request; raises :class:`WebhookError` otherwise.

    ``body`` is the request's body as it came, before any parser: one that was parsed and written
    again has other bytes. ``secrets`` is the webhook's; during a rotation both, in any order.
    ``tolerance`` is in seconds, 0 takes requests of any age; ``now`` is in Unix seconds. Events
    repeat: remember ``noticeId``, and act once.
    """
    check_signature(body, headers, secrets, tolerance=tolerance, now=now)
    event = _parsed(body)
    if event is None:
        hint = "Give the body of a webhook of Tidings."
        raise WebhookError("the body is signed, but no event", "bad_body", hint)
    return event


def check_signature(
    body: Union[bytes, str],
    headers: Mapping[str, str],
    secrets: Secrets,
    *,
    tolerance: int = _TOLERANCE_S,
    now: Optional[float] = None,
) -> None:
    """The same check without reading the body; raises :class:`WebhookError`."""
    raw = body.encode() if isinstance(body, str) else body
    keys = [secrets] if isinstance(secrets, str) else list(secrets)
    if not keys or "" in keys:
        hint = "Give the secret that was shown when the webhook was made."
        raise WebhookError("no secret", "no_secret", hint)
    given = {name.lower(): value for name, value in headers.items()}
    timed = given.get("tidings-signature")
    if timed is not None:
        _check_timed(raw, timed, keys, tolerance, now)
        return
    # Receivers behind a proxy that passes on only the headers of the hosted service. Which of them
    # has the old secret's signature and which the new one's, nobody need know.
    names = ("agora-signature-v2", "tidings-signature-next")
    plain = [given[name] for name in names if name in given]
    if not plain:
        hint = "Answer 401. If a proxy is in front, let it pass the header on."
        raise WebhookError("the request has no header Tidings-Signature", "no_signature", hint)
    _check_fits(keys, b"", raw, plain)
    made_ms = (_parsed(raw) or {}).get("notifyMs")
    is_time = isinstance(made_ms, (int, float)) and not isinstance(made_ms, bool)
    _check_age(int(made_ms // 1000) if is_time and made_ms is not None else None, tolerance, now)


def _check_timed(
    body: bytes, header: str, keys: List[str], tolerance: int, now: Optional[float]
) -> None:
    """``t=<Unix seconds>,v1=<hex>``: a ``v1`` for each secret that is in use."""
    made: Optional[str] = None
    signatures: List[str] = []
    for field in header.split(","):
        name, separator, value = field.strip().partition("=")
        if not separator:
            raise _malformed(header)
        if name == "t":
            made = value
        if name == "v1":
            signatures.append(value)
    if made is None or not re.fullmatch(r"[0-9]{1,15}", made) or not signatures:
        raise _malformed(header)
    if not all(re.fullmatch(r"([0-9a-fA-F]{2})*", signature) for signature in signatures):
        raise _malformed(header)
    _check_age(int(made), tolerance, now)
    _check_fits(keys, f"{made}.".encode(), body, signatures)


def _malformed(header: str) -> WebhookError:
    message = f"Tidings-Signature is {header[:100]!r}, not t=<seconds>,v1=<hex>"
    return WebhookError(message, "malformed_signature", _NOT_OURS)


def _check_fits(keys: List[str], stamp: bytes, body: bytes, signatures: List[str]) -> None:
    """Compares every signature with every secret's, in a time that tells nothing of them."""
    is_good = False
    for key in keys:
        expected = hmac.new(key.encode(), stamp + body, hashlib.sha256).hexdigest()
        for signature in signatures:
            # Bytes: with text, it takes ASCII only.
            if hmac.compare_digest(signature.lower().encode(), expected.encode()):
                is_good = True
    if not is_good:
        raise WebhookError("no signature fits the body", "bad_signature", _NOT_OURS)


def _check_age(made_s: Optional[int], tolerance: int, now: Optional[float]) -> None:
    if tolerance == 0:
        return
    now_s = int(time.time() if now is None else now)
    if made_s is not None and abs(now_s - made_s) <= tolerance:
        return
    age = "at no stated time" if made_s is None else f"{now_s - made_s} s ago"
    hint = (
        "Answer 401: it may be a recorded request. If all requests fail so, set the clock of this "
        "machine."
    )
    raise WebhookError(f"the request was made {age}", "too_old", hint)


def _parsed(body: Union[bytes, str]) -> Optional[Dict[str, Any]]:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
