"""Calls that fail, and are repeated where that is safe."""

from __future__ import annotations

import email.utils
import socket
import time
from typing import Any, Callable, Dict, List

import anyio
import pytest

from fake import APP, Fake, answers, broken, says, silent
from tidings_server import ApiError, AsyncTidings, NoAnswerError, Tidings, TidingsError

SENT = answers(200, {"request_id": "1", "results": [{"channel": "lobby", "outcome": "sent"}]})
BUSY = {"title": "Service Unavailable", "code": "unavailable", "hint": "Try again."}


def client(fake: Fake, **settings: Any) -> Tidings:
    return Tidings(fake.endpoint, "tdk_id_secret", APP, **settings)


def hello(tidings: Tidings, **options: Any) -> str:
    with tidings:
        return tidings.send_to_channel("lobby", "hello", sender="system", **options)["outcome"]


def keys(fake: Fake) -> List[str]:
    return [asked.headers["idempotency-key"] for asked in fake.asked]


def test_a_lost_message_is_sent_again_under_the_same_key() -> None:
    refused = [answers(503, BUSY), answers(429, BUSY), says(502, "bad gateway")]
    with Fake(broken, *refused, SENT) as fake:
        assert hello(client(fake)) == "sent"
        assert len(fake.asked) == 5
        assert len(set(keys(fake))) == 1
        hello(client(fake))
        assert len(set(keys(fake))) == 2, "another call has another key"
        assert all(key.startswith("auto-") for key in keys(fake))


def test_the_async_client_does_the_same() -> None:
    async def run(fake: Fake) -> None:
        async with AsyncTidings(fake.endpoint, "tdk_id_secret", APP) as tidings:
            await tidings.send_to_channel("lobby", "hello", sender="system")

    for backend in ("asyncio", "trio"):
        with Fake(broken, answers(503, BUSY), SENT) as fake:
            anyio.run(run, fake, backend=backend)
            assert len(fake.asked) == 3
            assert len(set(keys(fake))) == 1


def test_a_key_of_the_caller_is_used() -> None:
    with Fake(broken, SENT) as fake:
        hello(client(fake), idempotency_key="order-17")
        assert keys(fake) == ["order-17", "order-17"]


@pytest.mark.parametrize(
    "asked", [lambda: "1", lambda: email.utils.formatdate(time.time() + 2, usegmt=True)]
)
def test_retry_after_is_waited_for(asked: Callable[[], str]) -> None:
    with Fake(answers(503, BUSY, {"retry-after": asked()}), SENT) as fake:
        began = time.monotonic()
        hello(client(fake))
        assert time.monotonic() - began >= 0.9


def test_what_is_refused_for_good_or_too_often_is_not_repeated() -> None:
    with Fake(answers(403, {"title": "Forbidden", "code": "not_permitted"})) as fake:
        with pytest.raises(ApiError) as raised:
            hello(client(fake))
        assert (raised.value.status, raised.value.code) == (403, "not_permitted")
        assert len(fake.asked) == 1
    for retries in (0, 2):
        with Fake(answers(503, BUSY)) as fake:
            with pytest.raises(ApiError):
                hello(client(fake, retries=retries))
            assert len(fake.asked) == retries + 1


def test_a_ban_whose_answer_is_lost_is_not_repeated() -> None:
    with Fake(broken) as fake, client(fake) as tidings:
        with pytest.raises(NoAnswerError) as raised:
            tidings.ban(user_id="mallory")
        assert raised.value.code == "unreachable"
        assert len(fake.asked) == 1
    with Fake(answers(503, BUSY), answers(201, {"id": 1})) as fake, client(fake) as tidings:
        assert tidings.ban(user_id="mallory")["id"] == 1


def test_no_answer_in_time() -> None:
    with Fake(silent) as fake, client(fake, retries=1, timeout=0.05) as tidings:
        with pytest.raises(NoAnswerError, match="0.05 s") as raised:
            tidings.bans()
        assert raised.value.code == "timed_out"
        assert len(fake.asked) == 2


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with Tidings(endpoint, "tdk_1_2", APP, retries=1) as tidings:
        with pytest.raises(NoAnswerError, match=endpoint) as raised:
            tidings.bans()
        assert raised.value.code == "unreachable"
        assert raised.value.hint


def test_a_call_is_cancelled() -> None:
    async def run(fake: Fake) -> None:
        async with AsyncTidings(fake.endpoint, "tdk_id_secret", APP) as tidings:
            with anyio.move_on_after(0.2) as scope:
                await tidings.bans()
            assert scope.cancelled_caught

    for answer in (silent, answers(503, BUSY, {"retry-after": "30"})):
        with Fake(answer) as fake:
            anyio.run(run, fake)
            assert len(fake.asked) == 1


def test_a_redirect_is_not_followed() -> None:
    with Fake(answers(200, {})) as elsewhere:
        with Fake(says(302, "", {"location": elsewhere.endpoint})) as fake:
            with client(fake) as tidings, pytest.raises(ApiError) as raised:
                tidings.bans()
        assert raised.value.code == "http_302"
        assert elsewhere.asked == []


def test_an_answer_that_is_not_json() -> None:
    with Fake(says(200, "<p>welcome</p>")) as fake, client(fake) as tidings:
        with pytest.raises(NoAnswerError, match="welcome") as raised:
            tidings.bans()
        assert raised.value.code == "bad_answer"


def test_calls_one_after_the_other_use_one_connection() -> None:
    with Fake(SENT) as fake, client(fake) as tidings:
        for _ in range(5):
            tidings.send_to_channel("lobby", "hello", sender="system")
        assert fake.connections == 1


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    good: Dict[str, Any] = {"endpoint": "http://127.0.0.1:1", "key": "tdk_1_2", "app": APP}
    for name, value in good.items():
        monkeypatch.setenv(f"TIDINGS_{name.upper()}", value)
    Tidings().close()
    for name in good:
        monkeypatch.delenv(f"TIDINGS_{name.upper()}")
    for wrong, code in [
        ({"endpoint": ""}, "no_endpoint"),
        ({"endpoint": "chat.example.org"}, "bad_endpoint"),
        ({"endpoint": "http://host/api"}, "bad_endpoint"),
        ({"key": ""}, "no_key"),
        ({"key": "tdk_1_2\n"}, "bad_key"),
    ]:
        with pytest.raises(TidingsError) as raised:
            Tidings(**{**good, **wrong})
        assert (raised.value.code, bool(raised.value.hint)) == (code, True)
    with Tidings(good["endpoint"], good["key"]) as tidings, pytest.raises(TidingsError) as raised:
        tidings.bans()
    assert raised.value.code == "no_app"
    # Two keys would be deleted in place of this one.
    with Tidings(**good) as tidings, pytest.raises(TidingsError, match="comma"):
        tidings.delete_user_attributes("alice", ["a,b"])
    for name in ("", ".", ".."):
        with Tidings(**good) as tidings, pytest.raises(TidingsError) as raised:
            tidings.user(name)
        assert raised.value.code == "invalid_name"
