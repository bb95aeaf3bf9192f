"""What is sent and what comes back, spelled as in the HTTP API. Servers may add fields."""

from __future__ import annotations

import sys
from typing import Any, Dict, Generic, List, Optional, TypeVar, Union

if sys.version_info >= (3, 11):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict

#: Text is sent as a text message, bytes as a raw one.
Payload = Union[str, bytes]
Attributes = Dict[str, str]
T = TypeVar("T")


class _Message(TypedDict):
    #: The user in whose name it is sent; need not be logged in, nor a member.
    sender: str
    payload: Payload


class Message(_Message, total=False):
    """A message of a batch, to either a channel or users."""

    channel: str
    users: List[str]
    #: Keeps it in the history.
    store: bool
    #: Keeps it for a receiver that is offline.
    offline: bool
    #: Answers when the receiver has it, not when the server has it.
    wait: bool


class _Receipt(TypedDict):
    #: ``sent``: the server has it; ``delivered``: the receiver has it; ``stored``: it is kept;
    #: ``offline``: nobody is there; ``failed``: see ``error``.
    outcome: str


class Receipt(_Receipt, total=False):
    """What has become of a message for one receiver."""

    channel: str
    user: str
    message_id: str
    at_ms: int
    error: Dict[str, Any]


class Receipts(TypedDict):
    """The receipts of one message of a batch."""

    results: List[Receipt]


class Published(TypedDict):
    """The receipts of one message."""

    request_id: str
    results: List[Receipt]


class PublishedBatch(TypedDict):
    """The receipts of each message of a batch, in its order."""

    request_id: str
    results: List[Receipts]


class Page(TypedDict, Generic[T]):
    """A page of a list; ``next`` is where the next one begins, None at the end."""

    items: List[T]
    next: Optional[str]


class _Session(TypedDict):
    id: str
    user: str


class Session(_Session, total=False):
    """One login."""

    protocol: str
    sdk_version: str
    address: str
    since_ms: int
    last_seen_ms: int


class _User(TypedDict):
    user: str
    online: bool


class User(_User, total=False):
    """A user, as the server sees it now."""

    sessions: List[Session]
    channels: List[str]


class Member(TypedDict):
    user: str


class Channel(TypedDict):
    name: str
    members: int


class _HistoryMessage(TypedDict):
    message_id: str
    at_ms: int


class HistoryMessage(_HistoryMessage, total=False):
    """A message of the history: ``payload`` of a text, ``payload_base64`` of a raw one."""

    position: str
    channel: str
    user: str
    type: str
    payload: str
    payload_base64: str


class Ban(TypedDict):
    """A rule that keeps somebody out."""

    #: None for a ban of the file of apps, which ``tidings app unban`` ends.
    id: Optional[int]
    user_id: Optional[str]
    channel: Optional[str]
    address: Optional[str]
    privileges: List[str]
    #: Unix milliseconds; None for ever.
    until_ms: Optional[int]
    note: str


class _Event(TypedDict):
    #: Where this event stands; reading goes on behind it.
    cursor: str
    #: Such as ``user.login``, ``user.logout``, ``channel.join``; ``gap``: events before this one
    #: were dropped.
    type: str
    at_ms: int


class Event(_Event, total=False):
    """What happened in the app."""

    user: str
    channel: str
    #: Counts the events of this user or channel.
    order: int
