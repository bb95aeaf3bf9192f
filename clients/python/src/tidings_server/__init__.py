"""A backend's side of Tidings: send, ask, listen to events, verify webhooks, make tokens.

:class:`Tidings` is the synchronous client, :class:`AsyncTidings` the asynchronous one; they have
the same methods.
"""

from ._async import AsyncTidings
from ._errors import ApiError, NoAnswerError, TidingsError, WebhookError
from ._policy import VERSION as __version__
from ._sync import Tidings
from ._token import build_token
from ._types import (
    Attributes,
    Ban,
    Channel,
    Event,
    HistoryMessage,
    Member,
    Message,
    Page,
    Payload,
    Published,
    PublishedBatch,
    Receipt,
    Receipts,
    Session,
    User,
)
from ._webhook import check_signature, verify_webhook

__all__ = [
    "ApiError",
    "AsyncTidings",
    "Attributes",
    "Ban",
    "Channel",
    "Event",
    "HistoryMessage",
    "Member",
    "Message",
    "NoAnswerError",
    "Page",
    "Payload",
    "Published",
    "PublishedBatch",
    "Receipt",
    "Receipts",
    "Session",
    "Tidings",
    "TidingsError",
    "User",
    "WebhookError",
    "__version__",
    "build_token",
    "check_signature",
    "verify_webhook",
]
