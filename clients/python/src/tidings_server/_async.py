"""The calls of a backend, one method each."""

# `_sync.py` is made from this file by `unasync.py`.

from __future__ import annotations

import os
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import anyio
import httpx

from . import _policy as policy
from ._errors import TidingsError
from ._policy import Answer, Call, Settings, given, joined, part
from ._settle import settle
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
    Session,
    User,
)


class AsyncTidings:
    """A backend's access to one app of a server.

    It keeps connections open between calls; one for the whole program is enough. Calls are
    repeated where that is safe. Settings that are not given are read from the environment:
    ``TIDINGS_ENDPOINT``, ``TIDINGS_KEY``, ``TIDINGS_APP``. Cancelling a call ends it.
    """

    def __init__(
        self,
        endpoint: Optional[str] = None,
        key: Optional[str] = None,
        app: Optional[str] = None,
        *,
        timeout: float = 10.0,
        retries: int = 4,
        http: Optional[httpx.AsyncClient] = None,
    ) -> None:
        """Raises :class:`TidingsError` when a setting is missing or wrong.

        ``timeout``: seconds of silence after which an attempt has failed. ``retries``: how often
        a failed attempt is repeated. ``http``: a client of your own, with its proxies and roots.
        """
        self._settings = Settings.of(endpoint, key, timeout, retries)
        self._app = app or os.environ.get("TIDINGS_APP")
        self._is_own = http is None
        self._http = (
            http if http is not None else httpx.AsyncClient(verify=policy.has_tls(self._settings))
        )

    def for_app(self, app: str) -> "AsyncTidings":
        """The same server, key and connections, for another app."""
        settings = self._settings
        other = AsyncTidings(settings.base, settings.key, app, http=self._http)
        other._settings = settings
        return other

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._is_own:
            await self._http.aclose()

    async def __aenter__(self) -> "AsyncTidings":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Optional[policy.Query] = None,
        body: Any = None,
        idempotency_key: Optional[str] = None,
    ) -> Any:
        """Any call of the HTTP API: ``path`` begins with ``/api/v1/``, its parts are escaped.

        A POST is repeated after a lost answer only with an ``idempotency_key`` of yours.
        """
        key = idempotency_key
        is_repeatable = method != "POST" or key is not None
        return await self._ask(Call(method, path, query, body, 0.0, key, is_repeatable))

    # Messages

    async def send_to_channel(
        self,
        channel: str,
        payload: Payload,
        *,
        sender: str,
        store: bool = False,
        idempotency_key: Optional[str] = None,
    ) -> Receipt:
        """Sends to a channel, whose members get an ordinary channel message."""
        message: Message = {
            "channel": channel,
            "payload": payload,
            "sender": sender,
            "store": store,
        }
        return policy.single(await self.publish(message, idempotency_key=idempotency_key))

    async def send_to_peer(
        self,
        peer: str,
        payload: Payload,
        *,
        sender: str,
        store: bool = False,
        offline: bool = False,
        wait: bool = False,
        idempotency_key: Optional[str] = None,
    ) -> Receipt:
        """Sends to a user. With ``wait``, the receipt tells whether the user's program has it."""
        message: Message = {
            "users": [peer],
            "payload": payload,
            "sender": sender,
            "store": store,
            "offline": offline,
            "wait": wait,
        }
        return policy.single(await self.publish(message, idempotency_key=idempotency_key))

    async def publish(
        self, message: Message, *, idempotency_key: Optional[str] = None
    ) -> Published:
        """Sends one message to a channel or to several users.

        Each receiver has a receipt, also one that failed.
        """
        wait = policy.WAIT_S if message.get("wait") else 0.0
        answer: Published = await self._app_call(
            "POST", "/publish", body=policy.body_of(message), wait=wait, key=idempotency_key
        )
        return answer

    async def publish_batch(
        self, messages: Sequence[Message], *, idempotency_key: Optional[str] = None
    ) -> PublishedBatch:
        """Sends many messages in one call, at most 64 KiB in all.

        Each has receipts, also those that failed.
        """
        wait = policy.WAIT_S if any(message.get("wait") for message in messages) else 0.0
        body = {"messages": [policy.body_of(message) for message in messages]}
        answer: PublishedBatch = await self._app_call(
            "POST", "/publish/batch", body=body, wait=wait, key=idempotency_key
        )
        return answer

    async def history(
        self,
        *,
        channel: Optional[str] = None,
        users: Optional[Tuple[str, str]] = None,
        from_ms: Optional[int] = None,
        to_ms: Optional[int] = None,
        limit: Optional[int] = None,
        cursor: Optional[str] = None,
    ) -> Page[HistoryMessage]:
        """A page of messages that were kept, of a channel or of two users to each other."""
        query = policy.history_query(channel, users, from_ms, to_ms, limit, cursor)
        page: Page[HistoryMessage] = await self._app_call("GET", "/history", query=query)
        return page

    async def delete_history(
        self,
        *,
        channel: Optional[str] = None,
        users: Optional[Tuple[str, str]] = None,
        from_ms: Optional[int] = None,
        to_ms: Optional[int] = None,
    ) -> None:
        """Deletes what :meth:`history` would find."""
        query = policy.history_query(channel, users, from_ms, to_ms, None, None)
        await self._app_call("DELETE", "/history", query=query)

    # Who is there

    async def query_presence(self, users: Sequence[str]) -> Dict[str, bool]:
        """Which of these users are online. At most 256 in a call."""
        answer = await self._app_call("POST", "/users/query", body={"user_ids": list(users)})
        return {item["user"]: item["online"] for item in answer["items"]}

    async def user(self, user: str) -> User:
        """A user's logins and channels."""
        answer: User = await self._app_call("GET", f"/users/{part(user)}")
        return answer

    async def channels(
        self,
        *,
        prefix: Optional[str] = None,
        limit: Optional[int] = None,
        cursor: Optional[str] = None,
    ) -> Page[Channel]:
        """A page of the channels that have members."""
        query = given(prefix=prefix, limit=limit, cursor=cursor)
        page: Page[Channel] = await self._app_call("GET", "/channels", query=query)
        return page

    async def channel(self, channel: str) -> Channel:
        """A channel and how many members it has."""
        answer: Channel = await self._app_call("GET", f"/channels/{part(channel)}")
        return answer

    async def members(
        self, channel: str, *, limit: Optional[int] = None, cursor: Optional[str] = None
    ) -> Page[Member]:
        """A page of a channel's members."""
        query = given(limit=limit, cursor=cursor)
        path = f"/channels/{part(channel)}/members"
        page: Page[Member] = await self._app_call("GET", path, query=query)
        return page

    async def remove_member(self, channel: str, user: str) -> None:
        """Takes a user out of a channel."""
        path = f"/channels/{part(channel)}/members/{part(user)}/remove"
        await self._app_call("POST", path, body={})

    async def sessions(
        self,
        *,
        user: Optional[str] = None,
        channel: Optional[str] = None,
        protocol: Optional[str] = None,
        limit: Optional[int] = None,
        cursor: Optional[str] = None,
    ) -> Page[Session]:
        """A page of the logins, all or those of a user or in a channel."""
        query = given(user=user, channel=channel, protocol=protocol, limit=limit, cursor=cursor)
        page: Page[Session] = await self._app_call("GET", "/sessions", query=query)
        return page

    async def end_session(self, session: str) -> None:
        """Ends one login."""
        await self._app_call("DELETE", f"/sessions/{part(session)}")

    async def disconnect(
        self, user: str, *, reason: Optional[str] = None, ban_seconds: Optional[int] = None
    ) -> None:
        """Ends all logins of a user; with ``ban_seconds``, new ones are refused for that time."""
        body = given(reason=reason, ban_seconds=ban_seconds)
        path = f"/users/{part(user)}/disconnect"
        # With a ban, as a ban: see there.
        await self._app_call("POST", path, body=body, is_repeatable=not ban_seconds)

    # Attributes

    async def user_attributes(self, user: str) -> Attributes:
        """All attributes of a user."""
        return await self._attributes("GET", "users", user)

    async def set_user_attributes(self, user: str, attributes: Attributes) -> None:
        """Replaces all attributes of a user."""
        await self._attributes("PUT", "users", user, attributes)

    async def update_user_attributes(self, user: str, attributes: Attributes) -> None:
        """Adds attributes of a user, or changes them; the others stay."""
        await self._attributes("PATCH", "users", user, attributes)

    async def delete_user_attributes(self, user: str, keys: Optional[Sequence[str]] = None) -> None:
        """Deletes these attributes of a user, or all."""
        await self._attributes("DELETE", "users", user, keys=keys)

    async def channel_attributes(self, channel: str) -> Attributes:
        """All attributes of a channel."""
        return await self._attributes("GET", "channels", channel)

    async def set_channel_attributes(self, channel: str, attributes: Attributes) -> None:
        """Replaces all attributes of a channel."""
        await self._attributes("PUT", "channels", channel, attributes)

    async def update_channel_attributes(self, channel: str, attributes: Attributes) -> None:
        """Adds attributes of a channel, or changes them; the others stay."""
        await self._attributes("PATCH", "channels", channel, attributes)

    async def delete_channel_attributes(
        self, channel: str, keys: Optional[Sequence[str]] = None
    ) -> None:
        """Deletes these attributes of a channel, or all."""
        await self._attributes("DELETE", "channels", channel, keys=keys)

    # Bans and tokens

    async def bans(self, *, limit: Optional[int] = None, cursor: Optional[str] = None) -> Page[Ban]:
        """A page of the bans."""
        page: Page[Ban] = await self._app_call(
            "GET", "/bans", query=given(limit=limit, cursor=cursor)
        )
        return page

    async def ban(
        self,
        *,
        user_id: Optional[str] = None,
        channel: Optional[str] = None,
        address: Optional[str] = None,
        seconds: Optional[int] = None,
        until_ms: Optional[int] = None,
        note: Optional[str] = None,
        privileges: Optional[List[str]] = None,
    ) -> Ban:
        """Bans a user, an address, a channel, or a user from a channel.

        Those who are there are put out at once. Without ``seconds`` and ``until_ms`` it lasts for
        ever; with 0 seconds it puts out once, and bans nobody.
        """
        body = given(user_id=user_id, channel=channel, address=address, seconds=seconds)
        body.update(given(until_ms=until_ms, note=note, privileges=privileges))
        # Not repeated when its answer is lost: the second would be another ban.
        answer: Ban = await self._app_call("POST", "/bans", body=body, is_repeatable=False)
        return answer

    async def change_ban(
        self,
        ban: Union[str, int],
        *,
        seconds: Optional[int] = None,
        until_ms: Optional[int] = None,
        note: Optional[str] = None,
    ) -> Ban:
        """Changes how long a ban lasts, or its note."""
        body = given(seconds=seconds, until_ms=until_ms, note=note)
        answer: Ban = await self._app_call("PATCH", f"/bans/{part(str(ban))}", body=body)
        return answer

    async def unban(self, ban: Union[str, int]) -> None:
        """Ends a ban."""
        await self._app_call("DELETE", f"/bans/{part(str(ban))}")

    async def issue_token(
        self, user: str, *, ttl: Optional[int] = None, format: Optional[str] = None
    ) -> str:
        """Lets the server make a token.

        :func:`build_token` does it without a call, where the certificate is known.
        """
        body = given(user_id=user, ttl=ttl, format=format)
        return str((await self._app_call("POST", "/tokens", body=body))["token"])

    async def inspect_token(self, token: str) -> Dict[str, Any]:
        """What a token says, and whether it is good; for support."""
        answer: Dict[str, Any] = await self._app_call(
            "POST", "/tokens/inspect", body={"token": token}
        )
        return answer

    async def revoke_token(self, token: str) -> None:
        """Takes one token back."""
        await self._app_call("POST", "/revocations", body={"token": token})

    async def revoke_tokens_of(self, user: str, not_before: Optional[int] = None) -> None:
        """Takes back all tokens of a user made before a time, Unix seconds; now if not given."""
        body = given(user_id=user, not_before=not_before)
        await self._app_call("POST", "/revocations", body=body)

    # Events

    async def event_page(
        self,
        *,
        after: Optional[str] = None,
        types: Optional[Sequence[str]] = None,
        limit: Optional[int] = None,
        wait: int = 0,
    ) -> Page[Event]:
        """A page of events behind a cursor; empty if nothing happens within ``wait`` seconds."""
        query = given(after=after, types=joined(types), limit=limit, wait=wait or None)
        page: Page[Event] = await self._app_call("GET", "/events", query=query, wait=float(wait))
        return page

    async def events(
        self,
        *,
        after: Optional[str] = None,
        types: Optional[Sequence[str]] = None,
        limit: Optional[int] = None,
    ) -> AsyncIterator[Event]:
        """All events behind a cursor, and those to come.

        Ends only with an error that waiting does not mend.
        """
        async for page in self._event_pages(after, types, limit):
            for event in page["items"]:
                yield event

    async def read_events(
        self,
        handle: Callable[[Event], Union[None, Awaitable[None]]],
        *,
        after: Optional[str] = None,
        types: Optional[Sequence[str]] = None,
        limit: Optional[int] = None,
        save: Optional[Callable[[str], Union[None, Awaitable[None]]]] = None,
        on_gap: Optional[Callable[[Event], Union[None, Awaitable[None]]]] = None,
    ) -> None:
        """Hands every event to ``handle`` at least once, across restarts.

        ``save`` keeps the cursor after ``handle`` is done with a page: write it to where your data
        is, and start with it as ``after``. ``on_gap`` is called in place of ``handle`` where events
        were dropped before they could be read. Ends with whatever these raise.
        """
        saved = after
        async for page in self._event_pages(after, types, limit):
            for event in page["items"]:
                call = on_gap if on_gap is not None and event["type"] == "gap" else handle
                await settle(call(event))
            cursor = policy.cursor_of(page, saved)
            if cursor is not None and cursor != saved and save is not None:
                await settle(save(cursor))
            saved = cursor

    async def _event_pages(
        self, after: Optional[str], types: Optional[Sequence[str]], limit: Optional[int]
    ) -> AsyncIterator[Page[Event]]:
        """Pages without end; an outage is waited for."""
        pause = policy.OUTAGE_S
        while True:
            try:
                page = await self.event_page(
                    after=after, types=types, limit=limit, wait=policy.EVENTS_WAIT_S
                )
            except TidingsError as error:
                wait = policy.outage_pause(error, pause)
                if wait is None:
                    raise
                await anyio.sleep(wait)
                pause = min(pause * 2, policy.OUTAGE_S_MAX)
                continue
            pause = policy.OUTAGE_S
            yield page
            after = policy.cursor_of(page, after)

    async def _attributes(
        self,
        method: str,
        kind: str,
        name: str,
        attributes: Optional[Attributes] = None,
        keys: Optional[Sequence[str]] = None,
    ) -> Attributes:
        path = f"/{kind}/{part(name)}/attributes"
        body = None if attributes is None else {"attributes": attributes}
        answer = await self._app_call(method, path, query=given(keys=joined(keys)), body=body)
        found: Attributes = (answer or {}).get("attributes", {})
        return found

    async def _app_call(
        self,
        method: str,
        path: str,
        *,
        query: Optional[policy.Query] = None,
        body: Any = None,
        wait: float = 0.0,
        key: Optional[str] = None,
        is_repeatable: bool = True,
    ) -> Any:
        path = policy.app_path(self._app) + path
        return await self._ask(Call(method, path, query, body, wait, key, is_repeatable))

    async def _ask(self, call: Call) -> Any:
        call = call.with_key()
        attempt = 0
        while True:
            request = call.request(self._http, self._settings)
            try:
                outcome = policy.outcome_of(await self._http.send(request, follow_redirects=False))
            except httpx.HTTPError as cause:
                outcome = policy.no_answer(cause, self._settings, call)
            if isinstance(outcome, Answer):
                return outcome.value
            pause = outcome.pause_s(attempt, call, self._settings)
            if pause is None:
                raise outcome.error
            await anyio.sleep(pause)
            attempt += 1
