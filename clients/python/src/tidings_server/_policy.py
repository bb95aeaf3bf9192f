"""What the synchronous and the asynchronous client have in common: everything but waiting."""

from __future__ import annotations

import base64
import email.utils
import json
import os
import random
import re
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union
from urllib.parse import quote

import httpx

from ._errors import ApiError, NoAnswerError, TidingsError, api_error_of
from ._types import Message, Page, Event, Payload, Receipt

VERSION = "0.2.0"

# Statuses that say: nothing was done, try again.
NOT_DONE = frozenset((429, 503))
# Statuses of a proxy that has lost the server: whether something was done is unknown.
LOST = frozenset((502, 504))
# The first pause; each further one is twice as long.
PAUSE_S = 0.25
PAUSE_S_MAX = 8.0
# A server that asks for more patience is answered by failing: the caller knows better what to do.
RETRY_AFTER_S_MAX = 60.0
# More time than other calls have, for a message that waits for its receiver.
WAIT_S = 5.0
# Seconds that one call waits for the next event. Proxies end requests silent for a minute.
EVENTS_WAIT_S = 25
# The pause of the event reader after the calls' own retries have failed.
OUTAGE_S = 1.0
OUTAGE_S_MAX = 30.0


def has_tls(settings: "Settings") -> bool:
    """Whether the roots of trust are needed, which take a tenth of a second to load."""
    return settings.base.startswith("https:")


Query = Mapping[str, Union[str, int, bool, None]]


@dataclass(frozen=True)
class Settings:
    """Where the server is, and how it is asked."""

    base: str
    key: str
    timeout: float
    retries: int

    @staticmethod
    def of(endpoint: Optional[str], key: Optional[str], timeout: float, retries: int) -> "Settings":
        endpoint = endpoint or os.environ.get("TIDINGS_ENDPOINT")
        key = key or os.environ.get("TIDINGS_KEY")
        if not endpoint:
            hint = "Give `endpoint`, or set TIDINGS_ENDPOINT, such as https://chat.example.org."
            raise TidingsError("no endpoint", "no_endpoint", hint)
        if not key:
            hint = "Give `key`, or set TIDINGS_KEY; `tidings key create` makes one."
            raise TidingsError("no API key", "no_key", hint)
        if not re.fullmatch(r"https?://[^/?#]+/?", endpoint):
            hint = "Give the scheme and the host, such as https://chat.example.org."
            raise TidingsError(f"the endpoint is {endpoint!r}", "bad_endpoint", hint)
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            hint = "Copy the key again, without quotes, spaces and line ends."
            raise TidingsError("the API key has characters that no key has", "bad_key", hint)
        return Settings(endpoint.rstrip("/"), key, timeout, retries)


@dataclass(frozen=True)
class Call:
    """One call; ``path`` begins with ``/``, escaped."""

    method: str
    path: str
    query: Optional[Query] = None
    body: Any = None
    #: More time than the client's, in seconds, for a call that waits on purpose.
    wait: float = 0.0
    idempotency_key: Optional[str] = None
    #: Whether a second execution does no harm, so that the call is repeated if its answer is lost.
    is_repeatable: bool = True

    def with_key(self) -> "Call":
        """One key for all attempts: a retry after a lost answer is the same call to the server."""
        if self.method != "POST":
            return self
        # The beginning tells the server that the key is for these attempts only.
        key = self.idempotency_key or f"auto-{uuid.uuid4()}"
        return replace(self, idempotency_key=key)

    def request(
        self, client: Union[httpx.Client, httpx.AsyncClient], settings: Settings
    ) -> httpx.Request:
        headers = {
            "accept": "application/json",
            "authorization": f"Bearer {settings.key}",
            "user-agent": f"tidings-server-python/{VERSION}",
        }
        content: Optional[bytes] = None
        if self.body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(self.body, ensure_ascii=False).encode()
        if self.idempotency_key is not None:
            headers["idempotency-key"] = self.idempotency_key
        query = (self.query or {}).items()
        given = {name: _word(value) for name, value in query if value is not None}
        return client.build_request(
            self.method,
            settings.base + self.path,
            params=given or None,
            headers=headers,
            content=content,
            timeout=settings.timeout + self.wait,
        )


def _word(value: Union[str, int, bool, None]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def part(name: str) -> str:
    """A name as one part of a path."""
    # Every URL parser takes these two for steps, in any spelling.
    if name in ("", ".", ".."):
        message = f"{name!r} cannot be part of an address"
        raise TidingsError(message, "invalid_name", "Use another name.")
    return quote(name, safe="")


def retry_after_of(value: Optional[str], now: float) -> Optional[float]:
    """Seconds that a ``Retry-After`` asks for: a number, or a date."""
    if value is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


@dataclass(frozen=True)
class Failure:
    error: TidingsError
    #: Whether the server may have done what was asked.
    is_uncertain: bool = False
    retry_after_s: Optional[float] = None

    def pause_s(self, attempt: int, call: Call, settings: Settings) -> Optional[float]:
        """How long to wait before the next attempt; None: there is none."""
        if attempt >= settings.retries:
            return None
        if self.retry_after_s is not None and self.retry_after_s > RETRY_AFTER_S_MAX:
            return None
        is_refused = isinstance(self.error, ApiError) and self.error.status in NOT_DONE
        if not (is_refused or (self.is_uncertain and call.is_repeatable)):
            return None
        # Half of it is chance: those who were refused together do not come back together.
        pause = min(PAUSE_S * 2.0**attempt, PAUSE_S_MAX)
        return (self.retry_after_s or 0.0) + pause * (0.5 + random.random() / 2)


@dataclass(frozen=True)
class Answer:
    value: Any


def outcome_of(response: httpx.Response) -> Union[Answer, Failure]:
    if response.is_success:
        if not response.content:
            return Answer(None)
        try:
            return Answer(json.loads(response.content))
        except ValueError:
            text = response.text[:100]
            message = f"the answer ({response.status_code}) is not JSON: {text!r}"
            hint = "Check that the endpoint is a Tidings server."
            return Failure(NoAnswerError(message, "bad_answer", hint))
    retry_after_s = retry_after_of(response.headers.get("retry-after"), time.time())
    error = api_error_of(response.status_code, response.headers, response.text, retry_after_s)
    return Failure(error, response.status_code in LOST, retry_after_s)


def no_answer(cause: httpx.HTTPError, settings: Settings, call: Call) -> Failure:
    if isinstance(cause, httpx.TimeoutException):
        message = f"{settings.base} has not answered within {settings.timeout + call.wait} s"
        hint = "Look at the load of the server, or give the call more time."
        return Failure(NoAnswerError(message, "timed_out", hint), is_uncertain=True)
    message = f"{settings.base} cannot be reached: {cause}"
    hint = "Check the endpoint, and that the server runs and can be reached from here."
    return Failure(NoAnswerError(message, "unreachable", hint), is_uncertain=True)


def app_path(app: Optional[str]) -> str:
    if not app:
        raise TidingsError("no app id", "no_app", "Give `app`, or set TIDINGS_APP.")
    return f"/api/v1/apps/{part(app)}"


def content_of(payload: Payload) -> Dict[str, str]:
    if isinstance(payload, str):
        return {"type": "text", "payload": payload}
    return {"type": "raw", "payload_base64": base64.b64encode(payload).decode("ascii")}


def body_of(message: Message) -> Dict[str, Any]:
    """A message as the API takes it."""
    body: Dict[str, Any] = {
        name: value
        for name, value in message.items()
        if name not in ("sender", "payload") and value not in (None, False)
    }
    return {**body, "from": message["sender"], **content_of(message["payload"])}


def single(answer: Any) -> Receipt:
    """The one receipt; raises if the message was not sent."""
    results: List[Receipt] = answer["results"]
    if not results:
        hint = "Check that the endpoint is a Tidings server."
        raise TidingsError("the answer has no receipt", "bad_answer", hint)
    receipt = results[0]
    if receipt["outcome"] != "failed":
        return receipt
    error = receipt.get("error") or {}
    raise ApiError(
        status=200,
        code=str(error.get("code") or "failed"),
        title="the message was not sent",
        detail=str(error.get("detail") or ""),
        hint=str(error.get("hint") or ""),
        request_id=answer.get("request_id"),
    )


def given(**values: Any) -> Dict[str, Any]:
    """The values that were given."""
    return {name: value for name, value in values.items() if value is not None}


def joined(words: Optional[Sequence[str]]) -> Optional[str]:
    """Names as one parameter."""
    for word in words or ():
        if "," in word:
            hint = "Names are separated by commas; ask for one that has a comma in another way."
            raise TidingsError(f"{word!r} has a comma", "invalid_name", hint)
    return None if words is None else ",".join(words)


def cursor_of(page: Page[Event], before: Optional[str]) -> Optional[str]:
    """Where reading goes on behind this page."""
    if page.get("next"):
        return page["next"]
    return page["items"][-1]["cursor"] if page["items"] else before


def outage_pause(error: TidingsError, pause: float) -> Optional[float]:
    """How long the event reader waits after this; None: waiting does not mend it."""
    if isinstance(error, NoAnswerError):
        may_end = error.code != "bad_answer"
        asked = 0.0
    else:
        may_end = isinstance(error, ApiError) and (error.status == 429 or error.status >= 500)
        asked = (error.retry_after_s or 0.0) if isinstance(error, ApiError) else 0.0
    return max(asked, pause * (0.5 + random.random() / 2)) if may_end else None


def history_query(
    channel: Optional[str],
    users: Optional[Sequence[str]],
    from_ms: Optional[int],
    to_ms: Optional[int],
    limit: Optional[int],
    cursor: Optional[str],
) -> Dict[str, Any]:
    names = {"from": from_ms, "to": to_ms}
    return given(channel=channel, users=joined(users), limit=limit, cursor=cursor, **names)
