"""Recorded calls of every format: what comes out, and what is said where it cannot."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cli.main import run
from streams.importers import ImportProblem, guess_format, ndjson, open_events
from streams.importers.columns import known_maps, parse_map
from streams.importers.order import by_time
from streams.importers.table import Timed

SHARED = Path(os.environ.get("RINGFENCE_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

CALL = {"id": "1", "type": "attempt", "time": 1_772_416_800_000, "caller": "+8613800138000", "callee": "110"}

MAP = """
fields:
  type: {constant: cdr}
  caller: {column: from, template: "+86138{value:0>8}"}
  callee: {column: to}
  time: {column: at, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
  talk_ms: {column: seconds, unit: s}
  answered: {column: state, values: {ANSWERED: true, "NO ANSWER": false}}
"""
HEADER = "from,to,at,seconds,state\n"
GOOD = "17,95588,2026-03-02 10:00:00,12.5,ANSWERED\n"


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not there; RINGFENCE_SHARED_DATA names the directory it is in")
    return path


def events(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for r in open_events(path, **options) for line in r.value.splitlines()]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    return write(tmp_path / "calls.map.yaml", MAP)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("calls.ndjson", "ndjson"),
            ("calls.NDJSON.gz", "ndjson"),
            ("a.b.csv.zst", "csv"),
            ("scan.pcapng", "pcap"),
            ("calls.json", "json"),
        ],
    )
    def test_the_name_tells_the_format(self, name: str, expected: str) -> None:
        assert guess_format(Path(name)) == expected

    def test_a_name_that_tells_nothing(self) -> None:
        with pytest.raises(ImportProblem, match=r"the name tells no format; expected \.ndjson, .* --format"):
            guess_format(Path("calls.gz"))

    @pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
    def test_compression_is_seen_from_the_content(self, tmp_path: Path, pack: Any) -> None:
        path = write(tmp_path / "calls.ndjson", pack(json.dumps(CALL).encode() + b"\n"))
        assert events(path) == [CALL]

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
    def test_a_file_cut_short_is_said_to_be(self, tmp_path: Path, pack: Any) -> None:
        packed = pack(os.urandom(100_000))
        path = write(tmp_path / "calls.ndjson.x", packed[: len(packed) // 2])
        with pytest.raises(ImportProblem, match="damaged or cut short"):
            list(open_events(path, "ndjson"))

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
    def test_several_packed_parts_are_one_file(self, tmp_path: Path, pack: Any) -> None:
        line = json.dumps(CALL).encode() + b"\n"
        path = write(tmp_path / "calls.ndjson", pack(line * 3) + pack(line) + pack(line * 5_000))
        assert len(events(path)) == 5_004

    def test_progress_goes_to_the_end(self, tmp_path: Path) -> None:
        path = write(tmp_path / "calls.ndjson", (json.dumps(CALL) + "\n") * 20_000)
        shares: list[float] = []
        list(open_events(path, progress=shares.append))
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert 0 < shares[0] < 1

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImportProblem, match=r"none\.ndjson: No such file"):
            list(open_events(tmp_path / "none.ndjson"))


class TestJson:
    def test_records_are_whole_lines_and_know_where_they_were(self, tmp_path: Path) -> None:
        lines = [json.dumps(CALL | {"id": str(i)}) for i in range(30_000)]
        records = list(open_events(write(tmp_path / "calls.ndjson", "\n".join(lines))))
        assert len(records) > 2
        assert all(len(r.value) < 2 * ndjson.CHUNK_BYTES for r in records)
        for r in records:
            assert (r.topic, r.partition, r.timestamp) == ("calls.ndjson", 0, None)
            assert json.loads(r.value.splitlines()[0])["id"] == str(r.offset)
        assert b"".join(r.value for r in records).decode().splitlines() == lines

    def test_an_endless_line_does_not_take_endless_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ndjson, "CHUNK_BYTES", 1_000)
        monkeypatch.setattr(ndjson, "LONGEST_LINE", 5_000)
        content = b"x" * 100_000 + b"\n" + json.dumps(CALL).encode() + b"\n"
        records = list(open_events(write(tmp_path / "calls.ndjson", content)))
        assert len(records[0].value) == 5_000
        assert json.loads(records[-1].value) == CALL
        assert records[-1].offset == 1

    def test_an_array_laid_out_over_lines_is_taken_apart(self, tmp_path: Path) -> None:
        tricky = CALL | {"id": 'a "quoted\\" [brace} \n', "more": [{"x": [1, 2]}, "]"]}
        path = write(tmp_path / "calls.json", json.dumps([CALL, tricky, CALL], indent=2))
        assert events(path) == [CALL, tricky, CALL]

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists, max_leaves=5)),
            max_size=6,
        ),
        st.integers(1, 40),
        st.sampled_from([None, 1]),
    )
    def test_any_array_is_taken_apart_wherever_blocks_end(
        self, objects: list[dict[str, Any]], block: int, indent: int | None
    ) -> None:
        text = json.dumps(objects, indent=indent).encode()
        splitter = ndjson._Splitter()
        found = [v for at in range(0, len(text), block) for v in splitter.feed(text[at : at + block])]
        found += splitter.finish()
        assert [json.loads(v) for v in found] == objects

    def test_what_is_no_object_is_passed_on(self, tmp_path: Path) -> None:
        path = write(tmp_path / "calls.json", b'[{"id": "1"}, 17, "text", {"id": ')
        (record,) = open_events(path)
        assert record.value == b'{"id": "1"}\n17, "text", {"id":\n'


class TestTables:
    def test_columns_become_fields(self, tmp_path: Path, map_file: Path) -> None:
        path = write(tmp_path / "calls.csv", HEADER + GOOD + "18,110,2026-03-02 09:59:59,,NO ANSWER\n")
        earlier, later = events(path, map=map_file)
        assert later.pop("id").startswith("2-")
        assert later == {
            "type": "cdr",
            "time": 1_772_416_800_000,
            "caller": "+8613800000017",
            "callee": "95588",
            "talk_ms": 12_500,
            "answered": True,
        }
        assert earlier["time"] == later["time"] - 1_000, "rows come sorted by time"
        assert "talk_ms" not in earlier

    def test_ids_are_of_the_row_and_the_same_each_time(self, tmp_path: Path, map_file: Path) -> None:
        path = write(tmp_path / "calls.csv", HEADER + GOOD * 3)
        first, second = events(path, map=map_file), events(path, map=map_file)
        assert first == second
        assert len({e["id"] for e in first}) == 3

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (
                "17,95588,2026-03-02 10:00:00,long,ANSWERED",
                "\"seconds\" is 'long'; expected a number (s) for talk_ms",
            ),
            (
                "17,95588,yesterday,1,ANSWERED",
                "\"at\" is 'yesterday'; expected a time as %Y-%m-%d %H:%M:%S for time",
            ),
            (
                "17,95588,2026-03-02 10:00:00,1,LOST",
                "\"state\" is 'LOST'; expected one of 'ANSWERED', 'NO ANSWER'",
            ),
            ("17,95588,2026-03-02 10:00:00", "3 cells; expected 5, as in the header"),
            ("17,95588,2026-03-02 10:00:00,-3,ANSWERED", "Expected `int` >= 0 in the field `talk_ms`"),
            ("17,95588,,1,ANSWERED", "missing required field `time`"),
        ],
    )
    def test_a_row_that_makes_no_event_is_told_and_its_neighbours_go_on(
        self, tmp_path: Path, map_file: Path, row: str, message: str
    ) -> None:
        path = write(tmp_path / "calls.csv", HEADER + GOOD + row + "\n" + GOOD)
        told: list[str] = []
        assert len(events(path, map=map_file, refused=told.append)) == 2
        (problem,) = told
        assert problem.startswith(f"{path}, line 3: ")
        assert message in problem

    def test_without_anybody_to_tell_ingest_gets_the_row(self, tmp_path: Path, map_file: Path) -> None:
        path = write(tmp_path / "calls.csv", HEADER + "17,95588,2026-03-02 10:00:00,long,ANSWERED\n" + GOOD)
        first, second = events(path, map=map_file)
        assert first["talk_ms"] == "long"
        assert first["id"].startswith("2-")
        assert second["talk_ms"] == 12_500

    def test_unknown_columns_need_a_map(self, tmp_path: Path) -> None:
        path = write(tmp_path / "calls.csv", "a,b\n1,2\n")
        with pytest.raises(
            ImportProblem, match=r"no map is known for the columns 'a', 'b'.*give it with --map"
        ):
            events(path)

    def test_a_map_that_does_not_fit(self, tmp_path: Path, map_file: Path) -> None:
        path = write(tmp_path / "calls.csv", "from,to\n1,2\n")
        with pytest.raises(
            ImportProblem, match='no column "at", which the map needs for time; the columns are'
        ):
            events(path, map=map_file)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("talk_ms:", "talk:"), "fields: there is no field 'talk'; expected one of id, type"),
            (("callee: {column: to}", ""), "the field 'callee' is missing"),
            (("unit: s", "unit: hours"), "fields.talk_ms.unit: Input should be 'ms', 's', 'us' or 'min'"),
            (("zone: Asia/Shanghai", "zone: Mars"), "expected a time zone such as UTC"),
            (("{value:0>8}", "{x}"), "expected text with {value}"),
            (('format: "%Y-%m-%d %H:%M:%S", ', ""), "time needs a format"),
            (("{column: to}", "{column: to, constant: 1}"), "expected either column or constant"),
            (("fields:", "fields: ["), "not YAML"),
        ],
    )
    def test_a_wrong_map_names_the_entry(self, change: tuple[str, str], message: str) -> None:
        with pytest.raises(ImportProblem) as problem:
            parse_map(MAP.replace(*change), "calls.map.yaml")
        assert str(problem.value).startswith("calls.map.yaml: ")
        assert message in str(problem.value)

    def test_times_of_every_form(self, tmp_path: Path) -> None:
        forms = {
            "epoch_s": "1772416800",
            "epoch_ms": "1772416800000",
            "epoch_us": "1772416800000000",
            "iso": "2026-03-02T10:00:00+08:00",
            "%d.%m.%y %H.%M": "02.03.26 10.00",
        }
        for form, text in forms.items():
            columns = write(
                tmp_path / "m.yaml",
                'columns: [t, n]\ndelimiter: ";"\nfields: {type: {constant: attempt}, caller: {column: n},'
                ' callee: {constant: "110"},'
                f' time: {{column: t, format: "{form}", zone: Asia/Shanghai}}}}',
            )
            (event,) = events(write(tmp_path / "calls.csv", f"{text};13800138000\n"), map=columns)
            assert event["time"] == 1_772_416_800_000

    def test_the_command_tells_what_it_refused(
        self, tmp_path: Path, map_file: Path, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        path = write(tmp_path / "calls.csv", HEADER + GOOD + "1,2,3,4,5\n" * 30 + GOOD)
        assert run(["import", str(path), "--map", str(map_file)]) == 1
        out, err = capfdbinary.readouterr()
        assert len(out.splitlines()) == 2
        assert err.count(b"line ") == 20
        assert b"2 call events, 30 rows refused" in err


@settings(deadline=None)
@given(st.lists(st.integers(0, 50)), st.integers(1, 7))
def test_any_number_of_events_comes_in_order(times: list[int], in_memory: int) -> None:
    given_events = [Timed(t, b'{"n": %d}' % i) for i, t in enumerate(times)]
    assert list(by_time(given_events, in_memory)) == sorted(given_events, key=lambda e: e.time)


def test_many_runs_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.importers.order.MOST_FILES", 3)
    given_events = [Timed(i * 7919 % 1_000, b"%d" % i) for i in range(1_000)]
    assert list(by_time(given_events, 10)) == sorted(given_events, key=lambda e: e.time)


class TestVast:
    def test_the_command_of_the_guide(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        assert run(["import", str(shared("vast2008-calls.csv"))]) == 0
        out, err = capfdbinary.readouterr()
        calls = [json.loads(line) for line in out.splitlines()]
        assert len(calls) == 9_834
        assert b"9834 call events" in err
        times = [e["time"] for e in calls]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (1_149_120_480_000, 1_149_983_760_000)
        assert {e["caller"][:-4] for e in calls} == {"+861380013"}
        assert len({e["caller"] for e in calls} | {e["callee"] for e in calls}) == 400
        assert sum(e["talk_ms"] == 0 for e in calls) >= 4
        first = calls[0] | {"id": "2-"}
        assert first == {
            "id": "2-",
            "type": "cdr",
            "time": 1_149_120_480_000,
            "caller": "+8613800130349",
            "callee": "+8613800130023",
            "trunk": "tower-1",
            "probe": "vast2008",
            "answered": True,
            "talk_ms": 1_634_000,
        }

    def test_the_guide_shows_the_map_that_is_shipped(self) -> None:
        root = Path(__file__).parents[2]
        shipped = (root / "config" / "maps" / "vast2008.map.yaml").read_text("utf-8")
        assert shipped in (root / "docs" / "importing.md").read_text("utf-8")
        assert any("Cell.Tower" in m.recognise for m in known_maps())


class TestScan:
    def test_the_scan_is_eleven_calls(self) -> None:
        calls = events(shared("sip-invite-scan.pcap"))
        assert Counter(e["type"] for e in calls) == {"attempt": 11, "end": 11}
        assert {e["caller"] for e in calls} == {"200"}
        assert {e["trunk"] for e in calls} == {"40.129.198.250"}
        assert {e["probe"] for e in calls} == {"157.147.97.20", "157.147.97.131"}
        assert {e["callee"][-12:] for e in calls} == {"972599501806", "972598072172"}
        ended = [e for e in calls if e["type"] == "end"]
        assert Counter(e["sip_code"] for e in ended) == {482: 5, 403: 1, 503: 5}
        assert Counter(e["cause"] for e in ended) == {25: 5, 21: 1, 41: 5}
        assert not any(e["answered"] for e in ended)
        times = [e["time"] for e in calls]
        assert times == sorted(times)
