"""Callbacks that may or may not be asynchronous."""

from __future__ import annotations

import inspect
from typing import Awaitable, Union


async def settle(result: Union[None, Awaitable[None]]) -> None:
    if inspect.isawaitable(result):
        await result
