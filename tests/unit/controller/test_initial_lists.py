"""The initial lists have finished when every listed object has arrived: exactly, or after a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runwright.controller.initial_lists import MAX_SECONDS, InitialLists
from tests.unit.fake.virtual_time import run_virtually

A, B = "/apis/a", "/apis/b"


class Recorder:
    def __init__(self) -> None:
        self.finished = 0
        self.lists = InitialLists(self.count)

    def count(self) -> None:
        self.finished += 1


def page(*uids: str, more: str = "") -> dict[str, Any]:
    return {"metadata": {"continue": more}, "items": [{"metadata": {"uid": uid}} for uid in uids]}


def tracked(test: Callable[[Recorder], None], *paths: str) -> None:
    async def main() -> None:
        recorder = Recorder()
        recorder.lists.expect(paths)
        test(recorder)

    run_virtually(main())


def test_lists_finish_after_the_last_page_and_object() -> None:
    def test(recorder: Recorder) -> None:
        recorder.lists.add_page(A, page("1", "2", more="token"), first=True)
        recorder.lists.remove("1")
        recorder.lists.remove("2")
        assert recorder.lists.running, "another page follows"
        recorder.lists.add_page(A, page("3"), first=False)
        assert recorder.lists.running, "an object has not arrived"
        recorder.lists.remove("3")
        assert not recorder.lists.running and recorder.finished == 1
        recorder.lists.remove("3")
        recorder.lists.add_page(A, page("4"), first=True)
        assert recorder.finished == 1, "once"

    tracked(test, A)


def test_lists_finish_after_all_expected_lists() -> None:
    def test(recorder: Recorder) -> None:
        recorder.lists.add_page("/apis/other", page("9"), first=True)
        recorder.lists.add_page(A, page(), first=True)
        assert recorder.lists.running
        recorder.lists.add_page(B, page(), first=True)
        assert recorder.finished == 1

    tracked(test, A, B)


def test_restarted_list_is_counted_from_its_first_page() -> None:
    def test(recorder: Recorder) -> None:
        recorder.lists.add_page(A, page("1", "deleted-meanwhile", more="token"), first=True)
        recorder.lists.add_page(A, page("1"), first=True)
        recorder.lists.remove("1")
        assert recorder.finished == 1

    tracked(test, A)


def test_no_expected_lists_finish_at_once() -> None:
    tracked(lambda _: None)

    def test(recorder: Recorder) -> None:
        assert recorder.finished == 1 and not recorder.lists.running

    tracked(test)


def test_unfinished_lists_time_out() -> None:
    async def main() -> None:
        recorder = Recorder()
        recorder.lists.expect((A,))
        await asyncio.sleep(MAX_SECONDS - 1)
        assert recorder.lists.running
        await asyncio.sleep(2)
        assert recorder.finished == 1 and not recorder.lists.running

    run_virtually(main())


def test_closed_lists_never_finish() -> None:
    async def main() -> None:
        recorder = Recorder()
        recorder.lists.expect((A,))
        recorder.lists.close()
        recorder.lists.add_page(A, page(), first=True)
        await asyncio.sleep(2 * MAX_SECONDS)
        assert recorder.finished == 0

    run_virtually(main())
