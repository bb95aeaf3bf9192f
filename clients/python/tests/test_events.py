"""Reading events: page by page, over outages and restarts, told of gaps."""

from __future__ import annotations

from typing import Any, List, Optional

import anyio
import pytest

from fake import APP, Answer, Fake, answers, broken
from tidings_server import ApiError, AsyncTidings, Event, Tidings


def event(number: int, kind: str = "user.login") -> Any:
    return {"cursor": str(number), "type": kind, "at_ms": number, "user": "alice"}


def page(next: Optional[str], *items: Any) -> Answer:
    return answers(200, {"items": items, "next": next})


class Enough(Exception):
    pass


def take(fake: Fake, count: int, **which: Any) -> List[str]:
    taken: List[str] = []
    with Tidings(fake.endpoint, "tdk_id_secret", APP, retries=0) as tidings:
        for seen in tidings.events(**which):
            taken.append(seen["cursor"])
            if len(taken) == count:
                break
    return taken


def take_async(fake: Fake, count: int, **which: Any) -> List[str]:
    async def run() -> List[str]:
        taken: List[str] = []
        async with AsyncTidings(fake.endpoint, "tdk_id_secret", APP, retries=0) as tidings:
            async for seen in tidings.events(**which):
                taken.append(seen["cursor"])
                if len(taken) == count:
                    break
        return taken

    return anyio.run(run)


@pytest.mark.parametrize("taking", [take, take_async])
def test_events_come_in_order_over_an_outage(taking: Any) -> None:
    busy = answers(503, {"code": "unavailable", "title": "x"})
    first = page("2", event(1), event(2))
    with Fake(first, page("2"), broken, busy, page("3", event(3))) as fake:
        assert taking(fake, 3, types=["user.login"], limit=2) == ["1", "2", "3"]
        asked = [one.query.get("after") for one in fake.asked]
        assert asked == [None, "2", "2", "2", "2"]
        assert fake.asked[0].query["types"] == "user.login"
        assert int(fake.asked[0].query["wait"]) > 0


def test_a_refusal_for_good_ends_the_reading() -> None:
    with Fake(answers(400, {"code": "invalid_cursor", "title": "x"})) as fake:
        with pytest.raises(ApiError) as raised:
            take(fake, 1, after="x")
        assert raised.value.code == "invalid_cursor"


def test_every_event_is_handled_at_least_once() -> None:
    saved: List[str] = []
    seen: List[str] = []

    def handle(event: Event) -> None:
        if event["cursor"] == "3" and "stopped" not in seen:
            seen.append("stopped")
            raise OSError("the database is away")
        seen.append(event["cursor"])
        if event["cursor"] == "4":
            raise Enough

    with Fake(page("2", event(1), event(2)), page("4", event(3), event(4))) as fake:
        with Tidings(fake.endpoint, "tdk_id_secret", APP) as tidings:
            with pytest.raises(OSError):
                tidings.read_events(handle, save=saved.append)
            assert saved == ["2"]
            # The program starts again.
            with pytest.raises(Enough):
                tidings.read_events(handle, after=saved[-1], save=saved.append)
    assert seen == ["1", "2", "stopped", "3", "4"]


def test_a_gap_is_told() -> None:
    seen: List[str] = []

    def save(cursor: str) -> None:
        raise Enough

    async def handle(event: Event) -> None:
        seen.append(event["cursor"])

    async def run(fake: Fake) -> None:
        async with AsyncTidings(fake.endpoint, "tdk_id_secret", APP) as tidings:
            gap = lambda event: seen.append(f"gap {event['cursor']}")
            await tidings.read_events(handle, after="3", save=save, on_gap=gap)

    with Fake(page("9", event(7, "gap"), event(8))) as fake, pytest.raises(Enough):
        anyio.run(run, fake)
    assert seen == ["gap 7", "8"]
