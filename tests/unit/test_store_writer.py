from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from config.settings import StoreSettings
from streams.store.ports import Rows, StoreError
from streams.store.writer import FEWEST_ROWS, Writer


class Memory:
    """A store that keeps what it takes, by table, and can be down; ``inserts`` are the batches as sent."""

    def __init__(self) -> None:
        self.settings = StoreSettings()
        self.down = threading.Event()
        self.tried = threading.Semaphore(0)
        self.inserts: list[Rows] = []
        self.kept: dict[str, list[Any]] = {}
        self.refuse: Callable[[Rows], str | None] = lambda rows: None

    def insert(self, rows: Rows) -> None:
        self.tried.release()
        if self.down.is_set():
            raise StoreError("down")
        if reason := self.refuse(rows):
            raise StoreError(reason)
        self.inserts.append(rows)
        self.kept.setdefault(rows.table, []).extend(rows.data[0])


def rows(*ids: int, table: str = "t") -> Rows:
    return Rows(table, ["id"], [list(ids)])


@pytest.fixture
def store() -> Memory:
    return Memory()


def writer_on(store: Memory, **settings: Any) -> Writer:
    values = {"flush_ms": 60_000} | settings
    return Writer(store, StoreSettings(**values), prepare=lambda _: None, pause=0.001)  # type: ignore[arg-type]


@pytest.fixture
def writer(store: Memory) -> Iterator[Writer]:
    with writer_on(store) as writer:
        yield writer
        store.down.clear()


def test_flush_returns_once_everything_is_in(store: Memory, writer: Writer) -> None:
    assert writer.put(rows(1, 2))
    assert writer.put(rows(3))
    assert writer.put(rows(9, table="u"))
    assert writer.flush(30)
    assert store.kept == {"t": [1, 2, 3], "u": [9]}
    stats = writer.stats
    assert (dict(stats.written), stats.queued_rows, stats.queued_bytes) == ({"t": 3, "u": 1}, 0, 0)
    assert writer.flush(30)


def test_rows_of_one_table_go_out_together(store: Memory, writer: Writer) -> None:
    for i in range(100):
        writer.put(rows(i))
    assert writer.flush(30)
    assert len(store.inserts) <= 3
    assert store.kept["t"] == list(range(100))


def test_a_full_batch_does_not_wait(store: Memory) -> None:
    with writer_on(store, batch_rows=10) as writer:
        for i in range(10):
            writer.put(rows(i))
        assert store.tried.acquire(timeout=30)


def test_rows_wait_no_longer_than_the_setting(store: Memory) -> None:
    with writer_on(store, flush_ms=1) as writer:
        writer.put(rows(1))
        assert store.tried.acquire(timeout=30)


def test_an_insert_has_at_most_so_many_rows(store: Memory) -> None:
    with writer_on(store, batch_rows=4) as writer:
        writer.put(rows(*range(10)))
        assert writer.flush(30)
    assert [len(batch) for batch in store.inserts] == [4, 4, 2]


def test_store_down_loses_nothing_and_keeps_order(store: Memory, writer: Writer) -> None:
    store.down.set()
    writer.put(rows(1))
    writer.put(rows(2))
    assert not writer.flush(0.05)
    for _ in range(3):
        assert store.tried.acquire(timeout=30)
    assert not writer.healthy
    assert writer.last_error == "down"
    writer.put(rows(3))
    store.down.clear()
    assert writer.flush(30)
    assert store.kept["t"] == [1, 2, 3]
    assert writer.healthy
    assert writer.stats.failures >= 3


def test_full_queue_pushes_back_and_memory_stays_flat(store: Memory) -> None:
    with writer_on(store, queue_bytes=10_000, flush_ms=1) as writer:
        store.down.set()
        block = rows(*range(10))
        taken = 0
        while writer.put(block, timeout=0.02):
            taken += 1
        assert 0 < taken * block.nbytes <= 10_000
        assert not writer.put(block, timeout=0)
        assert writer.stats.queued_bytes <= 10_000
        store.down.clear()
        assert writer.put(block, timeout=30)
        assert writer.flush(30)
        assert len(store.kept["t"]) == (taken + 1) * 10


def test_rows_bigger_than_the_queue_are_taken_where_nothing_waits(store: Memory) -> None:
    with writer_on(store, queue_bytes=10, flush_ms=1) as writer:
        assert writer.put(rows(*range(1_000)), timeout=30)
        assert writer.flush(30)
    assert len(store.kept["t"]) == 1_000


def test_put_that_waits_goes_on_when_there_is_room(store: Memory) -> None:
    with writer_on(store, queue_bytes=100, flush_ms=1) as writer:
        store.down.set()
        assert writer.put(rows(1))
        done = threading.Event()

        def waiting() -> None:
            assert writer.put(rows(2), timeout=30)
            done.set()

        thread = threading.Thread(target=waiting)
        thread.start()
        assert store.tried.acquire(timeout=30)
        assert not done.is_set()
        store.down.clear()
        thread.join(30)
        assert done.is_set()


def test_an_insert_the_server_cannot_cope_with_is_halved(store: Memory) -> None:
    store.refuse = lambda batch: "time-out" if len(batch) > 2_500 else None
    with writer_on(store, batch_rows=8_000) as writer:
        writer.put(rows(*range(10_000)))
        assert writer.flush(30)
    assert store.kept["t"] == list(range(10_000))
    assert min(len(batch) for batch in store.inserts) >= FEWEST_ROWS


def test_rows_the_store_refuses_are_held_and_reported(store: Memory, writer: Writer) -> None:
    store.refuse = lambda batch: "no such column" if batch.table == "bad" else None
    writer.put(rows(1, table="bad"))
    assert not writer.flush(0.05)
    assert writer.last_error == "no such column"
    store.refuse = lambda batch: None
    assert writer.flush(30)
    assert store.kept == {"bad": [1]}


def test_close_flushes_and_then_takes_nothing(store: Memory) -> None:
    writer = writer_on(store).start()
    writer.put(rows(1))
    assert writer.close(30)
    assert store.kept == {"t": [1]}
    assert not writer.put(rows(2), timeout=0)
    assert writer.close()


def test_close_of_a_store_that_is_down_ends_and_says_so(store: Memory) -> None:
    writer = writer_on(store).start()
    store.down.set()
    writer.put(rows(1))
    assert not writer.close(0.05)
    assert not any(thread.name == "store-writer" and thread.is_alive() for thread in threading.enumerate())
    assert not writer.flush(0)


def test_close_releases_who_waits_to_put(store: Memory) -> None:
    writer = writer_on(store, queue_bytes=10).start()
    store.down.set()
    writer.put(rows(1))
    answer: list[bool] = []
    thread = threading.Thread(target=lambda: answer.append(writer.put(rows(2))))
    thread.start()
    writer.close(0.05)
    thread.join(30)
    assert answer == [False]


def test_writer_that_was_never_used_closes() -> None:
    assert writer_on(Memory()).close()


def test_schema_is_applied_first_and_patiently(store: Memory) -> None:
    order: list[str] = []

    def prepare(_: object) -> None:
        order.append("prepare")
        if len(order) < 3:
            raise StoreError("not yet")

    writer = Writer(store, StoreSettings(flush_ms=1), prepare=prepare, pause=0.001)  # type: ignore[arg-type]
    with writer:
        writer.put(rows(1))
        assert writer.flush(30)
    assert order == ["prepare"] * 3
    assert store.kept == {"t": [1]}


def test_rows_with_different_columns_go_apart(store: Memory, writer: Writer) -> None:
    writer.put(rows(1))
    writer.put(Rows("t", ["id", "x"], [[2], ["x"]]))
    assert writer.flush(30)
    assert [batch.columns for batch in store.inserts] == [["id"], ["id", "x"]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_broke_takes_nothing_and_says_so(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.writer.joined", lambda several: several.no_such_thing)
    writer = writer_on(store).start()
    writer.put(rows(1))
    assert not writer.flush(30)
    assert not writer.close(30)
    assert "has ended" in writer.last_error
    assert not writer.put(rows(2), timeout=0)
