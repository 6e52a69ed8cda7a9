"""Every command that README.md and docs/*.md show works when it is pasted (convention: CONTRIBUTING.md)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

DATA = ROOT.parent / "shared"
"""Recorded calls that are not part of the source tree; pages name them as ``../shared/…``."""

FENCE = re.compile(r"^```(console|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"<!-- (needs: [a-z ]+|until stopped|not run: .+) -->\n$")
BARE_COMMAND = re.compile(r"`ringfence ([a-z]+)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    commands: list[str]
    marker: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> list[str]:
        return self.marker.removeprefix("needs: ").split() if self.marker.startswith("needs: ") else []


def commands_of(language: str, body: str) -> list[str]:
    """Of a console block the lines after ``$ ``, with what continues them; a bash block is one script."""
    if language == "bash":
        return [body]
    commands: list[str] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif commands and commands[-1].endswith("\\"):
            commands[-1] += "\n" + line.removeprefix("> ")
    return commands


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        before = text[: found.start()]
        marked = MARKER.search(before)
        line = before.count("\n") + 1
        yield Block(page, line, commands_of(found[1], found[2]), marked[1] if marked else "")


ALL = [block for page in PAGES if page.exists() for block in blocks(page)]


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """A working directory for each page: the source tree's entries as links, and beside it the data."""
    made = {}
    for page in {block.page for block in ALL}:
        around = tmp_path_factory.mktemp("docs")
        made[page] = around / "tree"
        made[page].mkdir()
        for entry in ROOT.iterdir():
            if not entry.name.startswith("."):
                (made[page] / entry.name).symlink_to(entry)
        if DATA.exists():
            (around / DATA.name).symlink_to(DATA)
    return made


def as_tried(command: str, block: Block) -> str:
    """What is run for a command: make only names its steps, what runs for ever only reads its options."""
    if command.startswith("make "):
        return re.sub(r"^make ", "make -n ", command)
    if block.marker == "until stopped":
        return f"{command} --help"
    return command


def environment(request: pytest.FixtureRequest, block: Block) -> dict[str, str]:
    given = {key: value for key, value in os.environ.items() if not key.startswith("RINGFENCE_")}
    given["PATH"] = f"{Path(sys.executable).parent}:{given['PATH']}"
    if "kafka" in block.needs:
        given["RINGFENCE_KAFKA__BROKERS"] = request.getfixturevalue("kafka").brokers
        given["RINGFENCE_KAFKA__TOPIC_PREFIX"] = f"docs-{block.page.stem}-".lower()
    if "clickhouse" in block.needs:
        given["RINGFENCE_STORE__URL"] = request.getfixturevalue("clickhouse").url
    return given


def runnable() -> list[object]:
    return [
        pytest.param(block, id=block.where, marks=[getattr(pytest.mark, need) for need in block.needs])
        for block in ALL
        if not block.marker.startswith("not run: ")
    ]


@pytest.mark.parametrize("block", runnable())
def test_commands_work_when_pasted(
    block: Block, directories: dict[Path, Path], request: pytest.FixtureRequest
) -> None:
    if not DATA.exists() and any("../shared/" in command for command in block.commands):
        pytest.skip(f"the recorded calls are not at {DATA}")
    given = environment(request, block)
    for command in block.commands:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", as_tried(command, block)],
            cwd=directories[block.page],
            env=given,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{block.where}: {command}\n{ran.stdout}{ran.stderr}"


def test_there_are_commands_to_try() -> None:
    assert sum(len(block.commands) for block in ALL) >= 10
    assert all(block.commands for block in ALL), [block.where for block in ALL if not block.commands]


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.name)
def test_a_page_names_only_commands_that_exist(page: Path) -> None:
    there = {mounted.name for mounted in main.COMMANDS}
    assert set(BARE_COMMAND.findall(page.read_text())) <= there


def test_every_command_is_in_the_documentation() -> None:
    named = set(BARE_COMMAND.findall((ROOT / "docs" / "commands.md").read_text()))
    assert {mounted.name for mounted in main.COMMANDS} <= named


def test_links_within_the_documentation_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text() if page.exists() else ""):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
