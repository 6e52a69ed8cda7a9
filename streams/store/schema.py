"""The tables and views of config/clickhouse/schema.yaml: their DDL, and what is past its days."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec
import yaml

from config.settings import StoreSettings
from streams.store.ports import Store

DAY_MS = 86_400_000


class Type(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plain: str
    needs: str = ""
    newer: str = ""

    def on(self, capabilities: frozenset[str]) -> str:
        return self.newer if self.needs in capabilities else self.plain


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    type: str
    comment: str = ""
    source: str = ""
    """The ms column this one is computed from."""


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"days": "for"}):
    column: str
    days: str
    """Which of the settings says how many."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    needs: str
    order: list[str]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    columns: dict[str, Column]
    order: list[str]
    order_newer: Order | None = None
    comment: str = ""
    partition: str = ""
    latest: str = ""
    keep: Keep | None = None
    indexes: dict[str, str] = {}

    def order_on(self, capabilities: frozenset[str]) -> list[str]:
        newer = self.order_newer
        return newer.order if newer and newer.needs in capabilities else self.order


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    features: dict[str, list[int]]
    types: dict[str, Type]
    tables: dict[str, Table]
    views: dict[str, str]
    upgrades: dict[int, list[str]]

    def type_of(self, column: Column) -> Type:
        return self.types.get(column.type) or Type(column.type)


@cache
def model() -> Model:
    text = resources.files("config").joinpath("clickhouse", "schema.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), Model)


def capabilities_of(version: str) -> frozenset[str]:
    """Names of the features that a server of ``version`` (``18.16.1``) has."""
    numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
    return frozenset(name for name, first in model().features.items() if numbers >= first)


def ddl(
    database: str, capabilities: frozenset[str], settings: StoreSettings, of: Model | None = None
) -> list[str]:
    """The statements that make every table and view in an empty database, in order."""
    of = of or model()
    return [
        *(create_table(of, name, database, capabilities, settings) for name in of.tables),
        *(create_view(of, name, database, capabilities) for name in of.views),
    ]


def create_table(
    of: Model,
    name: str,
    database: str,
    capabilities: frozenset[str],
    settings: StoreSettings,
    suffix: str = "",
) -> str:
    """The statement for table ``name``, or for one like it whose name ends in ``suffix``."""
    table = of.tables[name]
    lines = [column_line(of, column, table, capabilities) for column in table.columns]
    if "skip_index" in capabilities:
        lines += [
            f"INDEX `{index}` `{column}` TYPE bloom_filter(0.01) GRANULARITY 4"
            for index, column in table.indexes.items()
        ]
    clauses = [f"ENGINE = ReplacingMergeTree({table.latest and f'`{table.latest}`'})"]
    if table.partition:
        clauses.append(f"PARTITION BY {table.partition}")
    clauses.append(f"ORDER BY ({', '.join(_quoted(part) for part in table.order_on(capabilities))})")
    if table.keep and "ttl" in capabilities:
        clauses.append(f"TTL {ttl(table.keep, settings)}")
        clauses.append("SETTINGS ttl_only_drop_parts = 1")
    body = ",\n    ".join(lines)
    target = f"`{database}`.`{name}{suffix}`"
    return f"CREATE TABLE IF NOT EXISTS {target}\n(\n    {body}\n)\n" + "\n".join(clauses)


def create_view(of: Model, name: str, database: str, capabilities: frozenset[str]) -> str:
    replace = "OR REPLACE " if "replace_view" in capabilities else ""
    unless = "" if replace else "IF NOT EXISTS "
    return f"CREATE {replace}VIEW {unless}`{database}`.`{name}` AS\n" + of.views[name].format(
        database=f"`{database}`"
    )


def ttl(keep: Keep, settings: StoreSettings) -> str:
    return f"toDateTime(`{keep.column}`) + toIntervalDay({getattr(settings, keep.days)})"


def prune(store: Store, now: int) -> list[str]:
    """Drops what is past its days at ``now`` (ms) on a server without TTL. Returns the statements it ran."""
    if "ttl" in store.capabilities:
        return []
    ran = []
    for name, table in model().tables.items():
        if table.keep is None:
            continue
        oldest = now - getattr(store.settings, table.keep.days) * DAY_MS
        for partition in _partitions_before(store, name, table, oldest):
            statement = f"ALTER TABLE `{store.database}`.`{name}` DROP PARTITION {partition}"
            store.execute(statement)
            ran.append(statement)
    return ran


def column_line(of: Model, name: str, table: Table, capabilities: frozenset[str]) -> str:
    column = table.columns[name]
    type_, codec = _type(of, column, capabilities)
    computed = f" DEFAULT {_computed(column, capabilities)}" if column.source else ""
    comment = f" COMMENT '{column.comment.replace(chr(39), chr(92) + chr(39))}'" if column.comment else ""
    return f"`{name}` {type_}{computed}{comment}{codec and f' CODEC{codec}'}"


def _type(of: Model, column: Column, capabilities: frozenset[str]) -> tuple[str, str]:
    """Type and the arguments of its codec, empty where it has none."""
    type_, _, codec = of.type_of(column).on(capabilities).partition(" CODEC")
    return type_, codec


def _computed(column: Column, capabilities: frozenset[str]) -> str:
    if "datetime64" in capabilities:
        return f"fromUnixTimestamp64Milli(`{column.source}`, 'UTC')"
    return f"toDateTime(intDiv(`{column.source}`, 1000), 'UTC')"


def _partitions_before(store: Store, name: str, table: Table, oldest: int) -> list[str]:
    """Partitions (``202611``, ``20261121``) of which every row is older than ``oldest``."""
    unit = "toYYYYMMDD" if table.partition.startswith("toYYYYMMDD") else "toYYYYMM"
    rows = store.query(
        "SELECT DISTINCT partition FROM system.parts WHERE database = %(database)s AND table = %(table)s"
        f" AND active AND toUInt32(partition) < {unit}(toDateTime(%(oldest)s, 'UTC')) ORDER BY partition",
        {"database": store.database, "table": name, "oldest": max(oldest // 1000, 0)},
    ).rows
    return [partition for (partition,) in rows]


def _quoted(part: str) -> str:
    return part if "(" in part else f"`{part}`"


@cache
def types_of(table: str, capabilities: frozenset[str]) -> Mapping[str, str]:
    """Column to its ClickHouse type on a server with ``capabilities``."""
    of = model()
    return {name: _type(of, column, capabilities)[0] for name, column in of.tables[table].columns.items()}
