"""Runs the Autobahn cases with the package kosoku; called by `tidings-proof autobahn`.

Arguments: `server ADDRESS`, which tests the echo server there, or `client`, which prints the port at which an echo
client is tested. Then one line for each case: its number, its verdict, the verdict on its closing handshake.
"""

import asyncio
import os
import sys

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver

# Group 9 is about speed and messages of megabytes, 12 and 13 about compression, which is not offered.
CASES = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)]


async def judge(side: str, address: str):
    if side == "server":
        return await run_fuzzingclient(f"ws://{address}", CASES, concurrency=8)
    async with run_fuzzingserver(CASES, port=0) as server:
        print(server.port, flush=True)
        return await server.get_result()


def main() -> None:
    try:
        results = asyncio.run(judge(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
    except FailureError as failure:
        results = failure.results
    for result in results:
        close = result.behavior_close.value
        print(f"{result.case_id}\t{result.behavior.value}\t{close}", flush=True)
    # Without the interpreter's end, in which threads of the suite's native part abort the process now and then.
    os._exit(0)


main()
