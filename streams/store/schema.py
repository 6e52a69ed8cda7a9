"""The tables and views of config/clickhouse/schema.yaml: their DDL for a server, applied and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

import msgspec
import structlog
import yaml

from config.settings import StoreSettings
from detectors.alert import content_id
from streams.store.ports import Store, StoreError

DAY_MS = 86_400_000

_log = structlog.get_logger("store")


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


class Problem(msgspec.Struct, frozen=True):
    """What is not as the model has it, and whether ``apply_schema`` mends it."""

    what: str
    mends: bool


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
    of: Model, name: str, database: str, capabilities: frozenset[str], settings: StoreSettings
) -> str:
    table = of.tables[name]
    lines = [_column(of, column, table, capabilities) for column in table.columns]
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
    return f"CREATE TABLE IF NOT EXISTS `{database}`.`{name}`\n(\n    {body}\n)\n" + "\n".join(clauses)


def create_view(of: Model, name: str, database: str, capabilities: frozenset[str]) -> str:
    replace = "OR REPLACE " if "replace_view" in capabilities else ""
    unless = "" if replace else "IF NOT EXISTS "
    return f"CREATE {replace}VIEW {unless}`{database}`.`{name}` AS\n" + of.views[name].format(
        database=f"`{database}`"
    )


def ttl(keep: Keep, settings: StoreSettings) -> str:
    return f"toDateTime(`{keep.column}`) + toIntervalDay({getattr(settings, keep.days)})"


def apply_schema(store: Store, of: Model | None = None) -> list[str]:
    """Brings the store's tables and views to the model's version. Returns the statements it ran.

    It only ever adds, may be interrupted anywhere and repeated, and leaves alone a schema that a newer
    release has made. Raises StoreError.
    """
    of = of or model()
    store.create_database()
    found = _found(store, of)
    if found.version > of.version:
        _log.warning("the schema is newer than this release and is left as it is", version=found.version)
        return []
    ran = []
    for statement in _changes(store, of, found):
        store.execute(statement)
        ran.append(statement)
    return ran


def check_schema(store: Store, of: Model | None = None) -> list[Problem]:
    """What differs from the model; empty where nothing does. Raises StoreError."""
    of = of or model()
    found = _found(store, of)
    if found.version > of.version:
        return []
    problems = [Problem(f"missing: {_first_line(change)}", True) for change in _changes(store, of, found)]
    for name, columns in found.columns.items():
        for column, type_ in columns.items():
            allowed = _allowed_types(of, name, column)
            if allowed and type_ not in allowed:
                problems.append(
                    Problem(f"{name}.{column} is {type_}, expected {' or '.join(sorted(allowed))}", False)
                )
    return problems


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


class _Found(msgspec.Struct, frozen=True):
    """What is in the database."""

    version: int
    digest: str
    tables: dict[str, str]
    """Name to the statement that made it; views too."""
    columns: dict[str, dict[str, str]]


def _found(store: Store, of: Model) -> _Found:
    params = {"database": store.database}
    tables = dict(
        store.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = %(database)s", params
        ).rows
    )
    columns: dict[str, dict[str, str]] = {}
    for table, name, type_ in store.query(
        "SELECT table, name, type FROM system.columns WHERE database = %(database)s ORDER BY table", params
    ).rows:
        if table in of.tables:
            columns.setdefault(table, {})[name] = type_
    version, digest = 0, ""
    if "schema_version" in tables:
        newest = store.query(
            f"SELECT version, digest FROM `{store.database}`.schema_version "
            "ORDER BY version DESC, applied_ms DESC LIMIT 1"
        ).rows
        version, digest = newest[0] if newest else (0, "")
    return _Found(version, digest, tables, columns)


def _changes(store: Store, of: Model, found: _Found) -> Iterator[str]:
    """What has to be run to get from ``found`` to the model, the record of it last."""
    capabilities = store.capabilities
    digest = content_id([ddl(store.database, capabilities, store.settings, of), sorted(of.upgrades.items())])
    changed = list(_table_changes(store, of, found))
    changed += [
        statement.format(database=f"`{store.database}`")
        for version, statements in sorted(of.upgrades.items())
        if found.version < version <= of.version and found.version > 0
        for statement in statements
    ]
    for name in of.views:
        if name not in found.tables or digest != found.digest:
            if name in found.tables and "replace_view" not in capabilities:
                changed.append(f"DROP TABLE `{store.database}`.`{name}`")
            changed.append(create_view(of, name, store.database, capabilities))
    if changed or digest != found.digest:
        changed.append(
            f"INSERT INTO `{store.database}`.schema_version (version, applied_ms, server, digest) SELECT "
            f"{of.version}, toInt64(toUInt32(now())) * 1000, version(), '{digest}'"
        )
    yield from changed


def _table_changes(store: Store, of: Model, found: _Found) -> Iterator[str]:
    for name, table in of.tables.items():
        target = f"`{store.database}`.`{name}`"
        if name not in found.tables:
            yield create_table(of, name, store.database, store.capabilities, store.settings)
            continue
        present = found.columns.get(name, {})
        after = ""
        for column in table.columns:
            if column not in present:
                added = _column(of, column, table, store.capabilities)
                yield f"ALTER TABLE {target} ADD COLUMN {added}{after}"
            after = f" AFTER `{column}`"
        if table.keep and "ttl" in store.capabilities:
            wanted = ttl(table.keep, store.settings)
            if _bare(wanted) not in _bare(found.tables[name]):
                yield f"ALTER TABLE {target} MODIFY TTL {wanted}"


def _column(of: Model, name: str, table: Table, capabilities: frozenset[str]) -> str:
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


def _allowed_types(of: Model, table: str, column: str) -> set[str]:
    if column not in of.tables[table].columns:
        return set()
    type_ = of.type_of(of.tables[table].columns[column])
    return {text.partition(" CODEC")[0] for text in (type_.plain, type_.newer) if text}


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


def _bare(text: str) -> str:
    return text.replace("`", "")


def _first_line(statement: str) -> str:
    return statement.splitlines()[0]


@cache
def types_of(table: str, capabilities: frozenset[str]) -> Mapping[str, str]:
    """Column to its ClickHouse type on a server with ``capabilities``."""
    of = model()
    return {name: _type(of, column, capabilities)[0] for name, column in of.tables[table].columns.items()}


__all__ = [
    "Model",
    "Problem",
    "StoreError",
    "apply_schema",
    "capabilities_of",
    "check_schema",
    "ddl",
    "model",
    "prune",
    "types_of",
]
