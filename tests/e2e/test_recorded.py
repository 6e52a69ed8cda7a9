"""Recorded calls: ten days of ordinary ones give no rule, a real scan is named with its source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.cli import main

DATA = Path(os.environ.get("RINGFENCE_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""Recorded calls that are not part of the source tree."""


def _recorded(name: str) -> Path:
    file = DATA / name
    if not file.exists():
        pytest.skip(f"{name} is not there: set RINGFENCE_SHARED_DATA to the directory that holds it")
    return file


def _lines(file: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def _import_and_replay(name: str, directory: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Path:
    assert main.run(["import", str(_recorded(name))]) == 0
    calls = directory / "calls.ndjson"
    calls.write_bytes(capsysbinary.readouterr().out)
    found = directory / "found"
    assert main.run(["replay", str(calls), "--out", str(found), "--mode", "enforce"]) == 0
    return found


def test_ten_days_of_ordinary_calls_give_no_rule(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    found = _import_and_replay("vast2008-calls.csv", tmp_path, capsysbinary)
    summary = orjson.loads((found / "summary.json").read_bytes())
    assert summary["events"] == 9_834
    assert summary["rejected"] == {}
    assert (found / "block-rules.ndjson").read_bytes() == b""


def test_a_real_scan_is_named_with_what_it_tried(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    found = _import_and_replay("sip-invite-scan.pcap", tmp_path, capsysbinary)
    probes = [alert for alert in _lines(found / "alerts.ndjson") if alert["kind"] == "prefix_probe"]
    assert probes
    newest = max(probes, key=lambda alert: alert["last_seen"])
    assert newest["trunks"] == ["40.129.198.250"]
    assert "40.129.198.250" in newest["message"]
    assert newest["severity"] in ("high", "critical")
    rules = [rule for rule in _lines(found / "block-rules.ndjson") if "match" in rule]
    assert {(rule["match"]["caller"], rule["match"]["trunk"]) for rule in rules} == {
        ("200", "40.129.198.250")
    }
