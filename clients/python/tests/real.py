"""The real program with one app, an API key for it, and users who log in there."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Dict, List, Optional

from tidings_server import Tidings, build_token

ROOT = Path(__file__).parents[3]
PROGRAM = os.environ.get("TIDINGS_BIN", str(ROOT / "target/debug/tidings"))
USER = ROOT / "clients/js/server/test/user-program.mjs"
# For a machine that does much else; whatever is waited for ends the wait at once.
WITHIN_S = 30.0


class Lines:
    """The lines of a stream, as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self.seen: List[str] = []
        self._new: "queue.Queue[Optional[str]]" = queue.Queue()
        self._stream = stream
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def next(self) -> str:
        line = self._new.get(timeout=WITHIN_S)
        assert line is not None, f"it has ended after: {self.seen}"
        self.seen.append(line)
        return line

    def find(self, pattern: str) -> str:
        """The first line that matches; its group."""
        while True:
            found = re.search(pattern, self.next())
            if found:
                return found.group(1)


class RealServer:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidings-server-python-")
        words = ["serve", "--listen", "127.0.0.1:0", "--disk-reserve", "0"]
        self._process = subprocess.Popen(
            [PROGRAM, *words, "--data-dir", self._folder.name + "/data"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Receivers of webhooks are on this machine, in tests.
            env={**os.environ, "TIDINGS_WEBHOOKS_PRIVATE_TARGETS": "true"},
            text=True,
        )
        assert self._process.stdout and self._process.stderr
        # The first start shows the first key.
        admin_key = Lines(self._process.stderr).find(r"^\s*(tdk_\w+)$")
        output = Lines(self._process.stdout)
        self.endpoint = output.find(r"^tidings is ready: (http://[^/\s]+)")
        with Tidings(self.endpoint, admin_key) as admin:
            wish = {"name": "tests", "settings": {"issue_tokens": True}}
            made = admin.request("POST", "/api/v1/apps", body=wish)
            self.app: str = made["id"]
            self.certificate: str = made["certificate"]
            key = {"name": "tests", "role": "app", "apps": [self.app]}
            self.key: str = admin.request("POST", "/api/v1/keys", body=key)["key"]

    def client(self) -> Tidings:
        return Tidings(self.endpoint, self.key, self.app)

    def login(
        self, user: str, channel: Optional[str] = None, token: Optional[str] = None
    ) -> "User":
        token = token or build_token(self.app, self.certificate, user)
        return User([self.endpoint, self.app, user, token, *([channel] if channel else [])])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        self._folder.cleanup()


class User:
    """A user of the JavaScript SDK."""

    def __init__(self, words: List[str]) -> None:
        self._process = subprocess.Popen(
            ["node", str(USER), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self._lines = Lines(self._process.stdout)
        self.heard: List[Dict[str, Any]] = []
        self.begun = self.hears(lambda told: "ready" in told or "refused" in told)

    def __enter__(self) -> "User":
        return self

    def __exit__(self, *_: object) -> None:
        self.logout()

    def hears(self, fits: Any) -> Dict[str, Any]:
        """The first that fits of all that it is told."""
        while True:
            for told in self.heard:
                if fits(told):
                    return told
            self.heard.append(json.loads(self._lines.next()))

    def text(self, text: str) -> Dict[str, Any]:
        return self.hears(lambda told: told.get("text") == text)

    def logout(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(WITHIN_S)
        if self._process.stdout:
            self._process.stdout.close()
