"""Brings a database to this release's tables, from any earlier release's.

What is missing is added; a table that is sorted otherwise is copied into one that is sorted right, and the
two change places. Rows are never lost: whatever step a process dies at, the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import structlog

from detectors.alert import content_id
from streams.store.lock import SchemaLock, schema_lock
from streams.store.ports import Store
from streams.store.schema import Model, Table, column_line, create_table, create_view, ddl, model, ttl

SORTED, BEFORE = "_sorted", "_before"
"""While a table is sorted anew: the copy that is to take its place, and the one whose place it took."""

_log = structlog.get_logger("store")


class Change(msgspec.Struct, frozen=True):
    """``statements`` run in order; each may run twice."""

    what: str
    statements: list[str]


class Problem(msgspec.Struct, frozen=True):
    """What is not as the model has it, and whether ``apply_schema`` mends it."""

    what: str
    mends: bool


def apply_schema(store: Store, of: Model | None = None) -> list[str]:
    """Brings the store's tables and views to the model's version. Returns the statements it ran.

    It loses no row, may be interrupted anywhere and repeated, and leaves alone a schema that a newer release
    has made or is about to make. Raises StoreError, also where another process is just doing the same.
    """
    of = of or model()
    store.create_database()
    if not _needed(store, of):
        return []
    with schema_lock(store) as lock:
        return _apply(store, of, lock)


def _needed(store: Store, of: Model) -> bool:
    found = _found(store)
    if found.newest > of.version:
        _log.warning("the schema is newer than this release and is left as it is", version=found.newest)
        return False
    return any(_changes(store, of, found))


def _apply(store: Store, of: Model, lock: SchemaLock) -> list[str]:
    found = _found(store)
    if found.newest > of.version:
        return []
    ran: list[str] = []
    if 0 < found.version < of.version:
        lock.execute(_record(store, of, digest=""))
        _log.info("upgrading the schema", version=found.version, to=of.version)
    for change in _changes(store, of, found):
        for statement in change.statements:
            lock.execute(statement)
            ran.append(statement)
    return ran


def check_schema(store: Store, of: Model | None = None) -> list[Problem]:
    """What differs from the model; empty where nothing does. Raises StoreError."""
    of = of or model()
    found = _found(store)
    if found.newest > of.version:
        return []
    problems = [Problem(change.what, True) for change in _changes(store, of, found)]
    for name, columns in found.columns.items():
        for column, type_ in columns.items():
            allowed = _allowed_types(of, name, column)
            if allowed and type_ not in allowed:
                problems.append(
                    Problem(f"{name}.{column} is {type_}, expected {' or '.join(sorted(allowed))}", False)
                )
    return problems


class _Found(msgspec.Struct, frozen=True):
    """What is in the database."""

    version: int
    """The newest that was wholly applied; 0: none."""
    newest: int
    """The newest that was at least begun."""
    digest: str
    tables: dict[str, str]
    """Name to the statement that made it; views too."""
    columns: dict[str, dict[str, str]]
    order: dict[str, list[str]]
    """What each table is sorted by."""


def _found(store: Store) -> _Found:
    params = {"database": store.database}
    tables: dict[str, str] = {}
    order: dict[str, list[str]] = {}
    for name, made_by, sorting_key in store.query(
        "SELECT name, create_table_query, sorting_key FROM system.tables WHERE database = %(database)s",
        params,
    ).rows:
        tables[name] = made_by
        order[name] = [_bare(part) for part in _unwrapped(sorting_key).split(", ")]
    columns: dict[str, dict[str, str]] = {}
    for table, name, type_ in store.query(
        "SELECT table, name, type FROM system.columns WHERE database = %(database)s ORDER BY table", params
    ).rows:
        columns.setdefault(table, {})[name] = type_
    records = []
    if "schema_version" in tables:
        records = store.query(
            f"SELECT version, digest FROM `{store.database}`.schema_version "
            "ORDER BY version DESC, applied_ms DESC, digest DESC"
        ).rows
    applied = next(((version, digest) for version, digest in records if digest), (0, ""))
    return _Found(applied[0], records[0][0] if records else 0, applied[1], tables, columns, order)


def _changes(store: Store, of: Model, found: _Found) -> Iterator[Change]:
    """What has to be done to get from ``found`` to the model, the record of it last."""
    capabilities = store.capabilities
    digest = content_id([ddl(store.database, capabilities, store.settings, of), sorted(of.upgrades.items())])
    changed = [change for name in of.tables for change in _table_changes(store, of, name, found)]
    changed += [
        _single(statement.format(database=f"`{store.database}`"))
        for version, statements in sorted(of.upgrades.items())
        if 0 < found.version < version <= of.version
        for statement in statements
    ]
    for name in of.views:
        if name not in found.tables or digest != found.digest:
            if name in found.tables and "replace_view" not in capabilities:
                changed.append(_single(f"DROP TABLE IF EXISTS `{store.database}`.`{name}`"))
            changed.append(_single(create_view(of, name, store.database, capabilities)))
    if changed or digest != found.digest:
        changed.append(_single(_record(store, of, digest)))
    yield from changed


def _record(store: Store, of: Model, digest: str) -> str:
    """An empty ``digest`` says that the version was begun: releases before it then leave the schema alone."""
    return (
        f"INSERT INTO `{store.database}`.schema_version (version, applied_ms, server, digest) SELECT "
        f"{of.version}, toInt64(toUInt32(now())) * 1000, version(), '{digest}'"
    )


def _single(statement: str) -> Change:
    return Change(f"missing: {statement.splitlines()[0]}", [statement])


def _table_changes(store: Store, of: Model, name: str, found: _Found) -> Iterator[Change]:
    table, target = of.tables[name], f"`{store.database}`.`{name}`"
    if name not in found.tables:
        if name + BEFORE not in found.tables:
            yield _single(create_table(of, name, store.database, store.capabilities, store.settings))
            return
        yield Change(
            f"{name} was being sorted anew",
            [f"RENAME TABLE {_beside(target, SORTED)} TO {target}", *_rest_copied(store, name, table, found)],
        )
        return
    yield from _columns_added(store, of, name, found)
    wanted = [_bare(part) for part in table.order_on(store.capabilities)]
    if name + BEFORE in found.tables:
        yield Change(f"{name} was being sorted anew", _rest_copied(store, name, table, found))
    if found.order[name] != wanted:
        yield Change(
            f"{name} is sorted by {', '.join(found.order[name])}, expected {', '.join(wanted)}",
            _sorted_anew(store, of, name),
        )
    if table.keep and "ttl" in store.capabilities:
        wanted_ttl = ttl(table.keep, store.settings)
        if _bare(wanted_ttl) not in _bare(found.tables[name]) and found.order[name] == wanted:
            yield _single(f"ALTER TABLE {target} MODIFY TTL {wanted_ttl}")


def _columns_added(store: Store, of: Model, name: str, found: _Found) -> Iterator[Change]:
    table, after = of.tables[name], ""
    for column in table.columns:
        if column not in found.columns.get(name, {}):
            added = column_line(of, column, table, store.capabilities)
            yield _single(f"ALTER TABLE `{store.database}`.`{name}` ADD COLUMN {added}{after}")
        after = f" AFTER `{column}`"


def _sorted_anew(store: Store, of: Model, name: str) -> list[str]:
    """Rows are copied twice, before and after the two tables change places, since others may be writing:
    rows that are copied twice replace themselves."""
    table, target = of.tables[name], f"`{store.database}`.`{name}`"
    beside, before = _beside(target, SORTED), _beside(target, BEFORE)
    columns = list(table.columns)
    return [
        f"DROP TABLE IF EXISTS {beside}",
        create_table(of, name, store.database, store.capabilities, store.settings, suffix=SORTED),
        _copy(store, target, beside, columns),
        f"RENAME TABLE {target} TO {before}, {beside} TO {target}",
        _copy(store, before, target, columns),
        f"DROP TABLE {before}",
    ]


def _rest_copied(store: Store, name: str, table: Table, found: _Found) -> list[str]:
    target = f"`{store.database}`.`{name}`"
    columns = [column for column in table.columns if column in found.columns.get(name + BEFORE, {})]
    return [_copy(store, _beside(target, BEFORE), target, columns), f"DROP TABLE {_beside(target, BEFORE)}"]


def _copy(store: Store, source: str, target: str, columns: list[str]) -> str:
    names = ", ".join(f"`{column}`" for column in columns)
    limit = " SETTINGS max_partitions_per_insert_block = 0" if "partition_limit" in store.capabilities else ""
    return f"INSERT INTO {target} ({names}) SELECT {names} FROM {source}{limit}"


def _beside(target: str, suffix: str) -> str:
    return f"{target[:-1]}{suffix}`"


def _allowed_types(of: Model, table: str, column: str) -> set[str]:
    if table not in of.tables or column not in of.tables[table].columns:
        return set()
    type_ = of.type_of(of.tables[table].columns[column])
    return {text.partition(" CODEC")[0] for text in (type_.plain, type_.newer) if text}


def _unwrapped(sorting_key: str) -> str:
    """New servers tell some keys in parentheses."""
    return sorting_key[1:-1] if sorting_key.startswith("(") else sorting_key


def _bare(text: str) -> str:
    return text.replace("`", "").strip()


__all__ = ["Change", "Problem", "apply_schema", "check_schema"]
