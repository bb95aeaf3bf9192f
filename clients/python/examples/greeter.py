"""Welcomes everybody who logs in. Started again, it goes on where it left off.

    TIDINGS_ENDPOINT=http://127.0.0.1:7400 TIDINGS_APP=… TIDINGS_KEY=tdk_… python3 greeter.py [FILE]

FILE keeps the cursor: the place behind the last event that was dealt with.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tidings_server import Event, Tidings, TidingsError

FILE = Path(sys.argv[1] if len(sys.argv) > 1 else "greeter.cursor")


def main() -> None:
    after = FILE.read_text("utf-8").strip() if FILE.exists() else None
    print(f"going on behind {after}" if after else "beginning with the oldest event", flush=True)
    with Tidings() as tidings:

        def greet(event: Event) -> None:
            user = event["user"]
            # After a crash the same event may come again: its cursor is the key, so the message is
            # not sent again.
            key = f"greet-{event['cursor']}"
            text = f"welcome, {user}"
            receipt = tidings.send_to_peer(user, text, sender="greeter", idempotency_key=key)
            print(f"{user}: {receipt['outcome']}", flush=True)

        def save(cursor: str) -> None:
            # Whole or not at all.
            new = FILE.with_name(FILE.name + ".new")
            new.write_text(cursor, "utf-8")
            new.replace(FILE)

        def on_gap(event: Event) -> None:
            print("events were dropped before they were read", file=sys.stderr)

        tidings.read_events(greet, after=after, types=["user.login"], save=save, on_gap=on_gap)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except TidingsError as error:
        sys.exit(f"{error}\n{error.hint}")
