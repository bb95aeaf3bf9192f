"""What went wrong: classes and codes; a message says what happened, a hint what to do."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional


class TidingsError(Exception):
    """The base of all errors of this package."""

    def __init__(self, message: str, code: str, hint: str = "") -> None:
        super().__init__(message)
        #: A stable word to act on: the server's, or one of this package's own.
        self.code = code
        #: What to do about it: a sentence. Empty when there is nothing to say.
        self.hint = hint


class ApiError(TidingsError):
    """The server has answered, and refuses."""

    def __init__(
        self,
        *,
        status: int,
        code: str,
        title: str = "",
        detail: str = "",
        hint: str = "",
        field: Optional[str] = None,
        request_id: Optional[str] = None,
        retry_after_s: Optional[float] = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail or title}", code, hint)
        #: The HTTP status.
        self.status = status
        self.title = title
        self.detail = detail
        #: The field of the request that is wrong.
        self.field = field
        #: The call's id in the server's log, to be told to whoever runs the server.
        self.request_id = request_id
        #: Seconds after which the same call may succeed.
        self.retry_after_s = retry_after_s


class NoAnswerError(TidingsError):
    """No answer came; whether the call had an effect is unknown.

    Codes: ``unreachable`` (no connection, or it broke), ``timed_out``, ``bad_answer`` (not from
    a Tidings server).
    """


class WebhookError(TidingsError):
    """A webhook's request that must not be believed; ``code`` says why."""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def api_error_of(
    status: int, headers: Mapping[str, str], body: str, retry_after_s: Optional[float]
) -> ApiError:
    """Reads a refusal, also one that something between here and the server has made."""
    try:
        told = json.loads(body)
    except ValueError:
        told = {}  # A proxy's page.
    if not isinstance(told, dict):
        told = {}
    detail = _text(told.get("detail")) or _text(told.get("reason")) or _text(told.get("message"))
    return ApiError(
        status=status,
        code=_text(told.get("code")) or f"http_{status}",
        title=_text(told.get("title")) or f"HTTP {status}",
        detail=detail or ("" if told.get("title") else body[:200]),
        hint=_text(told.get("hint")),
        field=_text(told.get("field")) or None,
        request_id=_text(told.get("request_id")) or headers.get("x-request-id"),
        retry_after_s=retry_after_s,
    )
