"""What `detect` tells `profile`: summaries and candidates as values of records."""

from __future__ import annotations

import pyarrow as pa
import pytest

from detectors.candidates import FEATURES
from streams.wire.arrow import BatchError, write_stream
from streams.wire.candidates import Candidates, decode_candidates, encode_candidates
from streams.wire.summaries import Summary, SummaryRow, decode_summary, encode_summary
from tests.alerts import detector
from tests.summaries import summary_of
from tests.traffic import START, cdr, frame_of

SUBSCRIBER, FRIEND = 8613700000001, 8613911110000
ROW = SummaryRow(START // 1_000, "T-1", "CM", "CU", 5, 4, 3, 2, 9_000, 3, 70_000, 1, callees=(1 << 255) + 3)


def told() -> Candidates:
    """Of a number and of a text that both call a lot."""
    calls = [
        cdr(START + 1_000 * n, caller, FRIEND + n, f"{caller}-{text}-{n}", None, caller_text=text)
        for n in range(30)
        for caller, text in ((SUBSCRIBER, ""), (-77, "BANK"))
    ]
    candidates = detector()(frame_of(calls), 7).candidates
    assert candidates is not None
    return candidates


def test_a_summary_comes_back_as_it_was() -> None:
    summary = summary_of(3, 4, START, [ROW], duplicates=1, late=2, evicted=3)
    back = decode_summary(encode_summary(summary))
    assert back == summary
    assert back.rows() == [ROW]
    assert back.attempts == 5


def test_candidates_come_back_as_they_were() -> None:
    candidates = told()
    back = decode_candidates(encode_candidates(candidates))
    assert back == candidates
    assert {row.subject for row in back.rows()} == {f"+{SUBSCRIBER}", "BANK"}
    last = back.rows()[-1]
    assert (last.partition, last.offset, last.trunk) == (0, 7, "CM-CU-1")
    assert list(last.features) == [feature.name for feature in FEATURES]
    assert len(set(back.ids())) == back.columns.num_rows


def test_a_candidate_has_the_same_id_whenever_it_is_told_again() -> None:
    assert told().ids() == told().ids()


@pytest.mark.parametrize("decode", [decode_summary, decode_candidates])
@pytest.mark.parametrize("value", [b"", b'{"partition":0}', write_stream(pa.record_batch({"a": [1]}))])
def test_other_bytes_are_refused(decode: object, value: bytes) -> None:
    assert callable(decode)
    with pytest.raises(BatchError):
        decode(value)


def test_a_summary_must_say_what_it_is_of() -> None:
    with pytest.raises(BatchError, match="partition is ''; expected an integer"):
        decode_summary(write_stream(summary_of(0, 0, START, [ROW]).traffic))
    with pytest.raises(BatchError, match="partition is ''; expected an integer"):
        decode_candidates(write_stream(told().columns))


def test_a_summary_says_its_counts() -> None:
    found: Summary | None = detector()(frame_of([cdr(START, SUBSCRIBER, FRIEND, "1", None)] * 2), 0).summary
    assert found is not None
    assert (found.duplicates, found.late, found.evicted) == (2, 0, 0)
