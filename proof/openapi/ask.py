"""Asks every call of the served description (`/api/v1/openapi.json`), with good and with wrong
values, and holds each answer to what the description says of it: status, type and schema.

Takes the program as `TIDINGS_BIN`; runs for about a minute. What it finds it prints with a command
that repeats it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

KEY = "tdk_openapi_" + "s" * 40
#: Cases of each call in each phase.
EXAMPLES = "12"
SECONDS = "80"
#: So many calls at least must have been done, not only refused.
DONE_MIN = 45
#: Calls that are not asked: one never ends, the other ends the server.
LEFT_OUT = r"/events/stream$|/nodes/\{node\}/drain$"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def call(url: str, body: object) -> dict:
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else {}


def fill(origin: str) -> "dict[str, object]":
    """Makes an app with something of everything, so that answers have contents. Returns what is
    there, by the names of parameters."""
    settings = {"issue_tokens": True, "peer_message_events": True, "services_sharing": ["worker"]}
    app, other = (
        call(f"{origin}/api/v1/apps", {"name": name, "settings": settings})["id"]
        for name in ("asked", "other")
    )
    base = f"{origin}/api/v1/apps/{app}"
    message = {"from": "desk", "payload": "hello", "store": True}
    call(f"{base}/publish", {**message, "channel": "0"})
    call(f"{base}/publish", {**message, "users": ["0"], "offline": True})
    ban = call(f"{base}/bans", {"user_id": "mallory", "seconds": 3600, "note": "asked"})
    invitation = call(f"{base}/invitations", {"from": "desk", "to": "0", "content": "come"})
    webhook = call(f"{base}/webhooks", {"url": "http://127.0.0.1:9/hook", "events": ["*"]})
    key = call(f"{origin}/api/v1/keys", {"name": "asked", "role": "app", "apps": [app]})
    return {
        "app": app, "other": other, "user": "0", "uid": "0", "channel": "0", "type": "message",
        "number": 1, "ban": ban["id"], "invitation": invitation["id"], "webhook": webhook["id"],
        "key": key["id"],
    }


def serve(folder: str) -> "tuple[subprocess.Popen[str], str]":
    port = free_port()
    words = [str(Path(os.environ["TIDINGS_BIN"]).resolve()), "serve", "--listen", f"127.0.0.1:{port}", "--hubs", "2"]
    words += ["--data-dir", f"{folder}/data", "--disk-reserve", "0", "--api-rate", "unlimited"]
    words += ["--webhooks-allow", "127.0.0.0/8"]
    log = open(f"{folder}/log", "w")
    environment = {**os.environ, "TIDINGS_API_KEY": KEY}
    server = subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("tidings is ready"):
            return server, f"http://127.0.0.1:{port}"
    raise SystemExit("the server has ended early:\n" + Path(f"{folder}/log").read_text())


def ask(origin: str, known: "dict[str, object]", folder: str) -> int:
    from schemathesis.cli import schemathesis

    os.environ["SCHEMATHESIS_HOOKS"] = "hooks"
    os.environ["TIDINGS_KNOWN"] = json.dumps(known)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    # It keeps notes of what it has found where it runs.
    os.chdir(folder)
    words = ["run", f"{origin}/api/v1/openapi.json", "-H", f"Authorization: Bearer {KEY}"]
    words += ["--checks", ",".join(CHECKS), "--exclude-path-regex", LEFT_OUT]
    words += ["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES]
    words += ["--max-time", SECONDS, "--request-timeout", "20", "--seed", "2026"]
    words += ["--workers", "1", "--generation-database", "none", "--warnings", "off"]
    words += ["--continue-on-failure", "--suppress-health-check", "all", "--no-color"]
    code = 0
    try:
        schemathesis(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    from hooks import DONE

    print(f"{len(DONE)} calls were answered with a success")
    if len(DONE) < DONE_MIN:
        # Refusals alone would prove little.
        print(f"that is fewer than {DONE_MIN}: " + ", ".join(sorted(DONE)), file=sys.stderr)
        return 1
    return code


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        server, origin = serve(folder)
        try:
            code = ask(origin, fill(origin), folder)
            if server.poll() is not None:
                print("the server has ended while it was asked", file=sys.stderr)
                code = 1
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)
        log = Path(f"{folder}/log").read_text()
        if "panicked" in log or server.returncode != 0:
            print(f"the server ended with {server.returncode}:\n{log[-4000:]}", file=sys.stderr)
            return 1
        return code


if __name__ == "__main__":
    sys.exit(main())
