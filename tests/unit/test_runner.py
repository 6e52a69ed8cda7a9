from __future__ import annotations

from typing import NamedTuple

import pytest
from aiokafka import TopicPartition

from streams.runner import FULL_POLL_BYTES, is_full

HALF = bytes(FULL_POLL_BYTES // 2)


class Record(NamedTuple):
    value: bytes | None


@pytest.mark.parametrize(
    ("values", "full"),
    [
        ([], False),
        ([[None]], False),
        ([[HALF]], False),
        ([[HALF, HALF]], True),
        ([[HALF], [b"", HALF]], True),
    ],
)
def test_a_poll_is_full_by_the_bytes_of_all_its_partitions(
    values: list[list[bytes | None]], full: bool
) -> None:
    polled = {
        TopicPartition("calls", partition): [Record(value) for value in each]
        for partition, each in enumerate(values)
    }
    assert is_full(polled) is full
