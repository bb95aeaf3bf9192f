"""Makes login tokens where the app's certificate is known, without a call to the server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import struct
import time
import zlib
from typing import Optional

from ._errors import TidingsError

# The service of the format that lets a user log in, and its one privilege.
_SERVICE_RTM = 2
_PRIVILEGE_LOGIN = 1
_SALT_MAX = 99_999_999
_TTL_MAX = 86_400


def _text(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > 65_535:
        raise TidingsError(
            f"a text of {len(encoded)} bytes", "invalid_argument", "Use a shorter user id."
        )
    return struct.pack("<H", len(encoded)) + encoded


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def build_token(
    app: str,
    certificate: str,
    user: str,
    *,
    ttl: int = 3600,
    issued_at: Optional[int] = None,
    salt: Optional[int] = None,
) -> str:
    """A token of format 007: ``user`` may log in to ``app`` for ``ttl`` seconds.

    ``certificate`` is the app's secret and stays in the backend. ``issued_at`` is in Unix seconds,
    now if not given; ``salt`` is 1 to 99,999,999, random if not given.
    """
    for name, value in (("app", app), ("certificate", certificate)):
        if not re.fullmatch(r"[0-9a-fA-F]{32}", value):
            message = f"`{name}` is not 32 hexadecimal characters"
            raise TidingsError(message, "invalid_argument", "Copy it from `tidings app show`.")
    if user == "":
        hint = "Name the user who will log in."
        raise TidingsError("the user id is empty", "invalid_argument", hint)
    if not isinstance(ttl, int) or not 1 <= ttl <= _TTL_MAX:
        hint = f"Use whole seconds from 1 to {_TTL_MAX}."
        raise TidingsError(f"`ttl` is {ttl}", "invalid_argument", hint)
    issued = struct.pack("<I", int(time.time()) if issued_at is None else issued_at)
    salted = struct.pack("<I", secrets.randbelow(_SALT_MAX) + 1 if salt is None else salt)
    service = struct.pack("<HHHI", _SERVICE_RTM, 1, _PRIVILEGE_LOGIN, ttl) + _text(user)
    info = _text(app) + issued + struct.pack("<I", ttl) + salted + struct.pack("<H", 1) + service
    # The public numbers are the keys here, and the secret is the message: so the format wants it.
    signature = _hmac(_hmac(salted, _hmac(issued, certificate.encode())), info)
    content = struct.pack("<H", len(signature)) + signature + info
    return "007" + base64.b64encode(zlib.compress(content)).decode("ascii")
