"""The `store` role: calls of a poll go as one, and what cannot be read holds nothing up."""

from __future__ import annotations

from typing import Any, NamedTuple

from config.settings import Settings
from streams.store.ports import Rows, joined
from streams.store.runner import StoreRole
from streams.store.step import rows_of_calls
from streams.wire.frames import encode_frame
from tests.stores import calls_frame


class Record(NamedTuple):
    topic: str
    value: bytes
    partition: int = 0
    offset: int = 0


class Took:
    """A writer that keeps what it is given."""

    last_error = ""

    def __init__(self) -> None:
        self.rows: list[Rows] = []

    def put(self, rows: Rows, timeout: float) -> bool:
        self.rows.append(rows)
        return True


def _role(keep_calls: bool = True) -> tuple[StoreRole, Took]:
    settings, writer = Settings(), Took()
    store = settings.store.model_copy(update={"calls": keep_calls})
    return StoreRole(settings.model_copy(update={"store": store}), writer), writer  # type: ignore[arg-type]


def _plain(rows: Rows) -> list[list[Any]]:
    return [column.to_pylist() if not isinstance(column, list) else column for column in rows.data]


def test_the_calls_of_a_poll_are_those_of_its_frames_one_by_one() -> None:
    role, writer = _role()
    frames = [calls_frame(count, seed) for seed, count in enumerate((7, 1, 30))]
    role.process([Record("frames", encode_frame(frame)) for frame in frames], True)
    assert len(writer.rows) == 1
    assert _plain(writer.rows[0]) == _plain(joined([rows_of_calls(frame) for frame in frames]))


def test_a_frame_that_cannot_be_read_takes_none_with_it() -> None:
    role, writer = _role()
    good = calls_frame(5, 1)
    role.process([Record("frames", b"no frame"), Record("frames", encode_frame(good))], True)
    role.process([Record("frames", b"nor this")], True)
    assert [_plain(rows) for rows in writer.rows] == [_plain(rows_of_calls(good))]


def test_calls_are_read_only_where_they_are_kept() -> None:
    kept, left = _role(True)[0], _role(False)[0]
    assert set(kept.topics) - set(left.topics) == {"frames"}
