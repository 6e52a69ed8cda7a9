"""A ClickHouse server on 127.0.0.1 with a configuration and data of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

from streams.embedded.child import ChildError, answers
from tests.servers.server import DOWNLOADS, Server, ServerMissing, running

_PLACES = f"{DOWNLOADS / 'clickhouse'}:/usr/bin:/usr/sbin:/usr/local/bin"
_HOW = (
    "run `make servers` as root on Debian or Ubuntu, or install ClickHouse yourself so that "
    "`clickhouse-server` or `clickhouse` is on PATH (18.16 or newer)"
)
_CONFIG = """<?xml version="1.0"?>
<yandex>
    <logger><level>information</level><log>{directory}/clickhouse.log</log><size>20M</size><count>2</count></logger>
    <listen_host>127.0.0.1</listen_host>
    <tcp_port>{tcp}</tcp_port>
    <http_port>{http}</http_port>
    <path>{directory}/data/</path>
    <tmp_path>{directory}/tmp/</tmp_path>
    <user_files_path>{directory}/user_files/</user_files_path>
    <format_schema_path>{directory}/format_schemas/</format_schema_path>
    <users_config>{directory}/users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>UTC</timezone>
    <mark_cache_size>268435456</mark_cache_size>
    <max_concurrent_queries>100</max_concurrent_queries>
    <macros><directory>{directory}</directory></macros>
    <builtin_dictionaries_reload_interval>3600</builtin_dictionaries_reload_interval>
</yandex>
"""
_USERS = """<?xml version="1.0"?>
<yandex>
    <profiles><default>
        <max_memory_usage>4000000000</max_memory_usage><readonly>{readonly}</readonly>
    </default></profiles>
    <users>
        <default>
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
        </default>
    </users>
    <quotas><default></default></quotas>
</yandex>
"""

WRITABLE, READ_ONLY = 0, 2
"""Of ClickHouse's setting `readonly`; 2 lets a client still change its settings."""
_RELOAD_SECONDS = 30


def users(readonly: int) -> str:
    """The file of users, whom ``readonly`` lets insert (WRITABLE) or not (READ_ONLY)."""
    return _USERS.format(readonly=readonly)


def program() -> list[str]:
    """The command that is ClickHouse's server here. Raises ServerMissing."""
    server = shutil.which("clickhouse-server") or shutil.which("clickhouse-server", path=_PLACES)
    if server is not None:
        return [server]
    whole = shutil.which("clickhouse") or shutil.which("clickhouse", path=_PLACES)
    if whole is not None:
        return [whole, "server"]
    raise ServerMissing(f"ClickHouse's server is not on this machine: {_HOW}")


class ClickHouseServer(Server):
    name = "clickhouse"

    @property
    def url(self) -> str:
        return f"clickhouse://default@127.0.0.1:{self.ports[0]}/default"

    def prepare(self) -> None:
        self._program = program()
        tcp, http = self.ports
        (self.directory / "config.xml").write_text(
            _CONFIG.format(directory=self.directory.resolve(), tcp=tcp, http=http)
        )
        self._write_users(WRITABLE)

    def refuse(self) -> None:
        """Every insert fails from now on, as where the disk is full; what is there can be read."""
        self._write_users(READ_ONLY)
        self._await_reload(READ_ONLY)

    def take(self) -> None:
        """The end of ``refuse``."""
        self._write_users(WRITABLE)
        self._await_reload(WRITABLE)

    def _write_users(self, readonly: int) -> None:
        place = self.directory / "users.xml"
        written = place.with_suffix(".new")
        written.write_text(users(readonly))
        written.replace(place)

    def _await_reload(self, readonly: int) -> None:
        """Returns once the server has read its users anew, or at once where it does not run."""
        deadline = time.monotonic() + _RELOAD_SECONDS
        while self.running and self._readonly() not in (readonly, None):
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} did not read its users anew within {_RELOAD_SECONDS} s")
            time.sleep(0.1)

    def _readonly(self) -> int | None:
        """The mode of a new connection; None where there is none to be had."""
        client = Client("127.0.0.1", self.ports[0], connect_timeout=2, send_receive_timeout=10)
        try:
            return int(client.execute("SELECT value FROM system.settings WHERE name = 'readonly'")[0][0])
        except (Error, EOFError, OSError):
            return None
        finally:
            client.disconnect()

    def command(self) -> list[str]:
        return [*self._program, f"--config-file={self.directory.resolve() / 'config.xml'}"]

    def ready(self) -> bool:
        """Whether it is ours that answers: another server may have taken the port."""
        if not answers(self.ports[0]):
            return False
        client = Client("127.0.0.1", self.ports[0], connect_timeout=2, send_receive_timeout=10)
        try:
            answer = client.execute("SELECT substitution FROM system.macros WHERE macro = 'directory'")
            return bool(answer == [(str(self.directory.resolve()),)])
        except (Error, EOFError, OSError):
            return False
        finally:
            client.disconnect()


@contextmanager
def clickhouse_server(directory: Path | None = None, port: int = 0) -> Iterator[ClickHouseServer]:
    """ClickHouse whose native protocol is on 127.0.0.1 at ``port`` (0: a free one).

    Raises ServerMissing or ChildError.
    """
    program()
    with running(ClickHouseServer, directory, (port, 0)) as server:
        yield server
