"""The calls against the real program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any, Dict, Iterator, List, Tuple

import anyio
import pytest

from real import Lines, RealServer
from tidings_server import ApiError, AsyncTidings, Event, Tidings, WebhookError, verify_webhook


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    server = RealServer()
    yield server
    server.stop()


@pytest.fixture
def tidings(server: RealServer) -> Iterator[Tidings]:
    with server.client() as tidings:
        yield tidings


class Enough(Exception):
    pass


def test_messages_to_users(server: RealServer, tidings: Tidings) -> None:
    with server.login("alice") as alice:
        receipt = tidings.send_to_peer("alice", "grüße 🎈", sender="system", wait=True)
        assert (receipt["user"], receipt["outcome"]) == ("alice", "delivered")
        assert alice.text("grüße 🎈")["from"] == "system"
        both = tidings.publish(
            {"users": ["alice", "nobody"], "payload": "x", "sender": "y", "wait": True}
        )
        assert [one["outcome"] for one in both["results"]] == ["delivered", "offline"]
    kept = tidings.send_to_peer("later", "kept", sender="system", offline=True)
    assert kept["outcome"] == "stored"
    with server.login("later") as later:
        later.text("kept")
    with pytest.raises(ApiError) as raised:
        tidings.send_to_peer("a\0b", "x", sender="system")
    error = raised.value
    assert error.code and error.hint and error.request_id


def test_messages_to_channels_and_repeated(server: RealServer, tidings: Tidings) -> None:
    with server.login("bob", "batch") as bob:
        assert tidings.send_to_channel("batch", b"\0\xff", sender="system")["outcome"] == "sent"
        batch = tidings.publish_batch(
            [
                {"channel": "batch", "payload": "second", "sender": "system"},
                {"users": ["bob"], "payload": "third", "sender": "other", "wait": True},
            ]
        )
        outcomes = [one["results"][0]["outcome"] for one in batch["results"]]
        assert outcomes == ["sent", "delivered"]
        bob.text("third")
        sent = [
            tidings.send_to_channel("batch", "once", sender="system", idempotency_key="order-17")
            for _ in range(2)
        ]
        assert sent[0] == sent[1]
        tidings.send_to_channel("batch", "end", sender="system")
        bob.text("end")
        assert [told.get("text") for told in bob.heard].count("once") == 1


def test_who_is_there(server: RealServer, tidings: Tidings) -> None:
    with server.login("carol", "room #1") as carol:
        assert tidings.query_presence(["carol", "nobody"]) == {"carol": True, "nobody": False}
        user = tidings.user("carol")
        assert (user["online"], user["channels"], len(user["sessions"])) == (True, ["room #1"], 1)
        assert [one["members"] for one in tidings.channels(prefix="room ")["items"]] == [1]
        assert tidings.channel("room #1")["members"] == 1
        assert [one["user"] for one in tidings.members("room #1")["items"]] == ["carol"]
        tidings.remove_member("room #1", "carol")
        (session,) = tidings.sessions(user="carol")["items"]
        tidings.end_session(session["id"])
        carol.hears(lambda told: told.get("state") == "ABORTED")
    with server.login("dave") as dave:
        tidings.disconnect("dave", reason="spam")
        dave.hears(lambda told: told.get("state") == "ABORTED")


def test_attributes(server: RealServer, tidings: Tidings) -> None:
    with server.login("erin"):
        tidings.set_user_attributes("erin", {"mood": "fine", "age": "40"})
        tidings.update_user_attributes("erin", {"mood": "splendid"})
        tidings.delete_user_attributes("erin", ["age"])
        assert tidings.user_attributes("erin") == {"mood": "splendid"}
        tidings.delete_user_attributes("erin")
        assert tidings.user_attributes("erin") == {}
    tidings.set_channel_attributes("attributes", {"topic": "tea"})
    tidings.update_channel_attributes("attributes", {"place": "kitchen"})
    tidings.delete_channel_attributes("attributes", ["topic"])
    assert tidings.channel_attributes("attributes") == {"place": "kitchen"}


def test_history(tidings: Tidings) -> None:
    for payload in ("one", "two", "three"):
        tidings.send_to_channel("old", payload, sender="system", store=True)
    first = tidings.history(channel="old", limit=2)
    assert [one["payload"] for one in first["items"]] == ["one", "two"]
    second = tidings.history(channel="old", limit=2, cursor=first["next"])
    assert [one["payload"] for one in second["items"]] == ["three"]
    tidings.delete_history(channel="old")
    assert tidings.history(channel="old")["items"] == []


def test_bans_and_tokens(server: RealServer, tidings: Tidings) -> None:
    with server.login("mallory") as mallory:
        ban = tidings.ban(user_id="mallory", seconds=600, note="spam")
        mallory.hears(lambda told: told.get("state") == "ABORTED")
    assert ban["id"] is not None
    with server.login("mallory") as refused:
        assert refused.begun["refused"] == 7
    assert tidings.change_ban(ban["id"], note="more")["note"] == "more"
    assert [one["id"] for one in tidings.bans()["items"]] == [ban["id"]]
    tidings.unban(ban["id"])
    with pytest.raises(ApiError) as raised:
        tidings.unban(ban["id"])
    assert (raised.value.status, raised.value.code) == (404, "unknown_ban")
    token = tidings.issue_token("frank", ttl=600)
    assert tidings.inspect_token(token)["check"]["verdict"] == "good"
    with server.login("frank", token=token) as frank:
        assert "ready" in frank.begun
    tidings.revoke_token(token)
    with server.login("frank", token=token) as again:
        assert "refused" in again.begun
    tidings.revoke_tokens_of("frank")


def test_events(server: RealServer, tidings: Tidings) -> None:
    start = tidings.event_page(limit=1000)["next"]
    with server.login("grace", "stage"):
        pass
    seen: List[str] = []

    def handle(event: Event) -> None:
        if event.get("user") == "grace":
            seen.append(event["type"])
            if event["type"] == "user.logout":
                raise Enough

    types = ["user.login", "user.logout", "channel.join", "channel.leave"]
    with pytest.raises(Enough):
        tidings.read_events(handle, after=start, types=types)
    assert seen == ["user.login", "channel.join", "channel.leave", "user.logout"]


def test_the_async_client(server: RealServer) -> None:
    async def run() -> None:
        async with AsyncTidings(server.endpoint, server.key, server.app) as tidings:
            receipt = await tidings.send_to_channel("async", "x", sender="system")
            assert receipt["outcome"] == "sent"
            async for event in tidings.events(types=["user.login"]):
                assert event["type"] == "user.login"
                break

    with server.login("ivan"):
        anyio.run(run)


def test_webhooks(server: RealServer, tidings: Tidings) -> None:
    calls: "Queue[Tuple[bytes, Dict[str, str]]]" = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.put((body, dict(self.headers.items())))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True).start()
        path = f"/api/v1/apps/{server.app}/webhooks"
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        made = tidings.request("POST", path, body={"url": url, "events": ["user.login"]})
        with server.login("heidi"):
            while True:
                body, headers = calls.get(timeout=30)
                if b"heidi" in body:
                    break
        event = verify_webhook(body, headers, made["secret"])
        assert (event["type"], event["payload"]["account"]) == ("user.login", "heidi")
        with pytest.raises(WebhookError):
            verify_webhook(body, headers, "another")
        tidings.request("DELETE", f"{path}/{made['id']}")
        receiver.shutdown()


def test_the_example_goes_on_where_it_left_off(server: RealServer, tmp_path: Path) -> None:
    example = Path(__file__).parents[1] / "examples/greeter.py"
    source = str(Path(__file__).parents[1] / "src")
    path = os.pathsep.join([source, *sys.path])
    settings = {"ENDPOINT": server.endpoint, "APP": server.app, "KEY": server.key}
    env = {**os.environ, **{f"TIDINGS_{name}": text for name, text in settings.items()}}
    for user, expected in (("judy", "beginning"), ("karl", "going on")):
        running = subprocess.Popen(
            [sys.executable, str(example), "cursor"],
            cwd=tmp_path,
            env={**env, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert running.stdout
        lines = Lines(running.stdout)
        assert lines.next().startswith(expected)
        before = (tmp_path / "cursor").read_text() if (tmp_path / "cursor").exists() else ""
        with server.login(user) as one:
            one.text(f"welcome, {user}")
        lines.find(f"^({user}: .*)")
        while not (tmp_path / "cursor").exists() or (tmp_path / "cursor").read_text() == before:
            pass
        running.terminate()
        running.wait()
        running.stdout.close()
