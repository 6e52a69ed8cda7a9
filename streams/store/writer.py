"""Rows on their way to the store: bounded, in batches, tried until they are in.

What identifies a row is in the row, and the tables replace a row by its like: a batch whose outcome is
unknown is sent again as it was, so nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from config.settings import StoreSettings
from streams.store.ports import Rows, Store, joined
from streams.store.upgrade import apply_schema

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds between two tries; each pause is twice the one before, up to the longest."""
FEWEST_ROWS = 1_000
"""An insert that failed is tried in halves, down to this."""

_log = structlog.get_logger("store")


@dataclass(slots=True)
class WriterStats:
    """What the writer has done so far. ``written`` counts rows by table, each once."""

    written: Counter[str] = field(default_factory=Counter)
    inserts: int = 0
    failures: int = 0
    queued_rows: int = 0
    queued_bytes: int = 0
    insert_seconds: float = 0.0


class Writer:
    """A thread that inserts what is put. Start it with ``start`` or use it as a context.

    It brings the store's schema up to date before its first insert, as patiently as it inserts.
    """

    def __init__(
        self,
        store: Store,
        settings: StoreSettings,
        *,
        prepare: Callable[[Store], object] = apply_schema,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self._store = store
        self._settings = settings
        self._prepare = prepare
        self._first_pause = self._pause = pause
        self._queue: deque[tuple[Rows, int]] = deque()
        self._changed = threading.Condition()
        self._stats = WriterStats()
        self._put = 0
        self._done = 0
        self._wanted = 0
        self._stopping = threading.Event()
        self._stopped = False
        self._last_error = ""
        self._thread: threading.Thread | None = None

    def start(self) -> Writer:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
                self._thread.start()
        return self

    def __enter__(self) -> Writer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, rows: Rows, timeout: float | None = None) -> bool:
        """Hands over ``rows``; waits while the queue is full, at most ``timeout`` seconds.

        False where it is still full, or the writer is closed: the rows were not taken. Rows of any size
        are taken where nothing waits.
        """
        self.start()
        size = rows.nbytes
        with self._changed:
            free = self._changed.wait_for(lambda: self._has_room(size) or self._ending(), timeout)
            if not free or self._ending():
                return False
            if len(rows):
                self._queue.append((rows, size))
                self._put += 1
                self._stats.queued_rows += len(rows)
                self._stats.queued_bytes += size
                self._changed.notify_all()
        return True

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until the store has acknowledged all that was put before. False: not in ``timeout`` s."""
        self.start()
        with self._changed:
            target = self._put
            self._wanted = max(self._wanted, target)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= target or self._stopped, timeout)
            return self._done >= target

    def close(self, timeout: float = 10.0) -> bool:
        """Flushes for at most ``timeout`` seconds and ends the thread. True: everything is in the store."""
        if self._thread is None:
            self._stopping.set()
            return True
        flushed = self.flush(timeout)
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
        self._thread.join(timeout)
        return flushed

    @property
    def healthy(self) -> bool:
        """The last try went well, or none was needed yet."""
        return not self._last_error

    @property
    def last_error(self) -> str:
        return self._last_error

    @property
    def stats(self) -> WriterStats:
        with self._changed:
            return replace(self._stats, written=Counter(self._stats.written))

    def _has_room(self, size: int) -> bool:
        return not self._stats.queued_bytes or self._stats.queued_bytes + size <= self._settings.queue_bytes

    def _ending(self) -> bool:
        return self._stopped or self._stopping.is_set()

    def _run(self) -> None:
        try:
            if self._persist(lambda: self._prepare(self._store)):
                while (batch := self._next_batch()) and self._insert_all(batch):
                    self._settle(batch)
        finally:
            with self._changed:
                self._stopped = True
                if not self._stopping.is_set():
                    self._last_error = (
                        "the thread that writes to the store has ended; its traceback is in the log"
                    )
                self._changed.notify_all()

    def _next_batch(self) -> list[tuple[Rows, int]]:
        """What goes out next, in the order it came, as much as a batch holds. Empty: stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping.is_set())
            self._changed.wait_for(self._is_time, self._settings.flush_ms / 1000)
            batch: list[tuple[Rows, int]] = []
            count = size = 0
            while self._queue and not self._stopping.is_set():
                count += len(self._queue[0][0])
                size += self._queue[0][1]
                if batch and (count > self._settings.batch_rows or size > self._settings.batch_bytes):
                    break
                batch.append(self._queue.popleft())
            return batch

    def _is_time(self) -> bool:
        return (
            self._stopping.is_set()
            or self._wanted > self._done
            or self._stats.queued_rows >= self._settings.batch_rows
            or self._stats.queued_bytes >= min(self._settings.batch_bytes, self._settings.queue_bytes // 2)
        )

    def _insert_all(self, batch: list[tuple[Rows, int]]) -> bool:
        alike: dict[tuple[str, ...], list[Rows]] = {}
        for rows, _ in batch:
            alike.setdefault((rows.table, *rows.columns), []).append(rows)
        return all(self._insert(joined(several)) for several in alike.values())

    def _insert(self, rows: Rows) -> bool:
        """All of ``rows``, in parts that get smaller where the server cannot cope with many in its time."""
        start, step = 0, self._settings.batch_rows
        while start < len(rows):
            part = rows.part(start, start + step)
            if self._try(lambda part=part: self._insert_once(part)):  # type: ignore[misc]
                start += len(part)
            elif self._stopping.is_set():
                return False
            else:
                step = max(step // 2, min(step, FEWEST_ROWS))
        return True

    def _insert_once(self, rows: Rows) -> None:
        started = time.monotonic()
        self._store.insert(rows)
        with self._changed:
            self._stats.inserts += 1
            self._stats.written[rows.table] += len(rows)
            self._stats.insert_seconds += time.monotonic() - started

    def _persist(self, act: Callable[[], object]) -> bool:
        """Does ``act`` again and again until it succeeds. False: told to stop before it did."""
        while not self._try(act):
            if self._stopping.is_set():
                return False
        return True

    def _try(self, act: Callable[[], object]) -> bool:
        """Does ``act`` once. Where it fails the writer rests, each time longer. False also when stopping."""
        if self._stopping.is_set():
            return False
        try:
            act()
        except Exception as error:
            self._failed(error)
            self._stopping.wait(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return False
        self._succeeded()
        return True

    def _failed(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        with self._changed:
            self._stats.failures += 1
        if text != self._last_error:
            _log.warning("the store does not take rows; they wait and are tried again", error=text)
        self._last_error = text

    def _succeeded(self) -> None:
        if self._last_error:
            _log.info("the store takes rows again")
        self._last_error = ""
        self._pause = self._first_pause

    def _settle(self, batch: list[tuple[Rows, int]]) -> None:
        with self._changed:
            self._done += len(batch)
            self._stats.queued_rows -= sum(len(rows) for rows, _ in batch)
            self._stats.queued_bytes -= sum(size for _, size in batch)
            self._changed.notify_all()
