"""A server that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import parse_qsl, urlsplit

APP = "0123456789abcdef0123456789abcdef"


class Asked(NamedTuple):
    method: str
    path: str
    query: Dict[str, str]
    headers: Mapping[str, str]
    body: str


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: "Fake"

    def setup(self) -> None:
        super().setup()
        self.fake.connections += 1

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), headers, body)
        self.fake.take(asked)(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def tell(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Fake:
    def __init__(self, *answers: Answer) -> None:
        self.asked: List[Asked] = []
        self.connections = 0
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.ended = threading.Event()
        handler = type("Own", (Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> "Fake":
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            # The last answer is given for ever.
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def answers(status: int, body: Any = None, headers: Optional[Mapping[str, str]] = None) -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    return lambda handler: handler.tell(status, content, headers or {})


def says(status: int, text: str, headers: Optional[Mapping[str, str]] = None) -> Answer:
    return lambda handler: handler.tell(status, text.encode(), headers or {})


def broken(handler: Handler) -> None:
    """The request arrives, and the connection breaks."""
    handler.close_connection = True
    handler.connection.close()


def silent(handler: Handler) -> None:
    """No answer."""
    handler.close_connection = True
    handler.fake.ended.wait()
