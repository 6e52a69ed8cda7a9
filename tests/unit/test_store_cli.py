from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from streams.cli.schema import app
from streams.faults import Fault, Usage
from streams.store.schema import model


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard output. Raises the Fault that the command line would report."""
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, Fault):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "ringfence.yaml"
    path.write_text(f"store:\n  path: {tmp_path / 'store'}\n  days: 10000\n")
    return str(path)


def test_print_for_an_old_server_and_a_new_one(config: str) -> None:
    code, old = run("print", "--for", "18.16", "--config", config)
    assert code == 0
    assert "CREATE TABLE IF NOT EXISTS `default`.`alerts`" in old
    assert "TTL" not in old
    _, new = run("print", "--config", config)
    assert "TTL toDateTime(`window_start`) + toIntervalDay(10000)" in new
    statements = orjson.loads(run("print", "--config", config, "--json")[1])["statements"]
    assert new == "".join(f"{statement};\n\n" for statement in statements)


def test_check_apply_check(config: str) -> None:
    code, text = run("check", "--config", config)
    assert code == 1
    assert "ringfence schema apply" in text
    code, text = run("apply", "--config", config, "--json")
    assert code == 0
    assert len(orjson.loads(text)["statements"]) > len(model().tables)
    assert orjson.loads(run("apply", "--config", config, "--json")[1])["statements"] == []
    code, text = run("check", "--config", config)
    assert code == 0
    assert "as it should be" in text
    assert orjson.loads(run("check", "--config", config, "--json")[1])["problems"] == []


def test_nothing_configured(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("{}\n")
    with pytest.raises(Usage, match=r"set store\.url"):
        run("apply", "--config", str(tmp_path / "empty.yaml"))


def test_version_that_is_none(config: str) -> None:
    with pytest.raises(Usage, match="expected a ClickHouse version"):
        run("print", "--for", "newest", "--config", config)
