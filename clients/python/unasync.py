"""Makes `src/tidings_server/_sync.py` from `_async.py`: one source for both clients.

python unasync.py          writes it
python unasync.py --check  fails when it is not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent / "src/tidings_server"
WORDS = [
    (r"Union\[None, Awaitable\[None\]\]", "None"),
    (r"AsyncIterator, Awaitable, Callable, Dict", "Callable, Dict, Iterator"),
    (r"AsyncIterator", "Iterator"),
    (r"AsyncClient", "Client"),
    (r"AsyncTidings", "Tidings"),
    (r"await settle\((.*)\)\n", r"\1\n"),
    (r"from \._settle import settle\n", ""),
    (r"import os\n", "import os\nimport time\n"),
    (r"import anyio\n", ""),
    (r"anyio\.sleep", "time.sleep"),
    (r"async (def|for|with) ", r"\1 "),
    (r"await ", ""),
    (r"aclose", "close"),
    (r"__a(enter|exit)__", r"__\1__"),
    (r" Cancelling a call ends it\.", ""),
    (
        r"# `_sync\.py` is made from this file by `unasync\.py`\.",
        "# Made from `_async.py` by `unasync.py`; do not edit.",
    ),
]


def made(text: str) -> str:
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text)
    return text


def main() -> None:
    text = made((HERE / "_async.py").read_text("utf-8"))
    target = HERE / "_sync.py"
    if "--check" not in sys.argv:
        target.write_text(text, "utf-8")
    elif target.read_text("utf-8") != text:
        sys.exit("src/tidings_server/_sync.py is not up to date: run `python unasync.py`")


if __name__ == "__main__":
    main()
