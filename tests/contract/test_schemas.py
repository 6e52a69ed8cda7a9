"""The JSON Schemas in config/schemas and the code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from config.settings import IngestSettings, Settings
from detectors.alert import Alert
from detectors.campaigns import Campaign
from detectors.plan import NumberingPlan
from detectors.seasons import HourLevels
from streams.ingest.reasons import Reason
from streams.ingest.step import Ingest
from streams.wire import calls
from streams.wire.calls import CallEvent
from streams.wire.records import (
    BlockRule,
    Command,
    CommandOutcome,
    Lesson,
    ListEntry,
    Rejection,
    SourceRecord,
    decode,
    encode,
)

ROOT = Path(__file__).resolve().parents[2]
STRUCTS: dict[str, type[msgspec.Struct]] = {
    "alert": Alert,
    "baseline": HourLevels,
    "block-rule": BlockRule,
    "campaign": Campaign,
    "call-event": CallEvent,
    "command": Command,
    "command-outcome": CommandOutcome,
    "lesson": Lesson,
    "list-entry": ListEntry,
    "rejection": Rejection,
}
SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "config/schemas").glob("*.json"))
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name, schema in SCHEMAS.items()
    for number, example in enumerate(schema["examples"])
]
NARROWER_IN_SCHEMA = {"rejection": {"reason"}}
"""Fields whose Struct allows more than the schema: ``reason`` is text to those who only read it."""


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


def resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    reference: str = schema["$ref"]
    if reference.startswith("#/$defs/"):
        return dict(definitions[reference.removeprefix("#/$defs/")])
    return dict(SCHEMAS[reference.removesuffix(".json")])


def shape(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """What values a schema describes: types, choices, bounds and, of objects, fields. No descriptions."""
    schema = resolved(schema, definitions)
    if "anyOf" in schema and "properties" not in schema:
        parts = [shape(part, definitions) for part in schema["anyOf"]]
        null = {"types": ["null"]}
        (part,) = [part for part in parts if part != null]
        return {**part, "types": sorted({*part["types"], "null"})}
    if "enum" in schema:
        choices = schema["enum"]
        types = {"null" if choice is None else "string" for choice in choices}
        return {"types": sorted(types), "enum": sorted(choice for choice in choices if choice is not None)}
    named = [schema["type"]] if isinstance(schema["type"], str) else sorted(schema["type"])
    described: dict[str, Any] = {"types": named}
    if "properties" in schema:
        described["required"] = sorted(schema["required"])
        described["fields"] = {
            name: shape(part, definitions) for name, part in sorted(schema["properties"].items())
        }
    if "items" in schema:
        described["items"] = shape(schema["items"], definitions)
    return described


def bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """Bounds of each field of a flat schema."""
    found: dict[str, Any] = {}
    for name, part in schema["properties"].items():
        for choice in part.get("anyOf", [part]):
            limits = {
                key: choice[key] for key in ("minimum", "maximum", "minLength", "maxLength") if key in choice
            }
            if limits:
                found[name] = limits
    return found


def declared(name: str) -> dict[str, Any]:
    return msgspec.json.schema(STRUCTS[name])


def test_there_is_a_schema_for_each_record() -> None:
    assert set(SCHEMAS) == set(STRUCTS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_complete(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{name}.json"
    for part in [schema, *schema.get("$defs", {}).values()]:
        for field, described in {"": part, **part["properties"]}.items():
            assert described.get("description") or "$ref" in described, f"{name}.{field} has no description"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_and_its_struct_have_the_same_fields(name: str) -> None:
    code = declared(name)
    in_code = shape(code, code["$defs"])
    in_schema = shape(SCHEMAS[name], SCHEMAS[name].get("$defs", {}))
    for field in NARROWER_IN_SCHEMA.get(name, ()):
        in_code["fields"].pop(field)
        in_schema["fields"].pop(field)
    assert in_schema == in_code


def test_a_call_event_has_the_same_bounds() -> None:
    assert bounds(SCHEMAS["call-event"]) == bounds(declared("call-event")["$defs"]["CallEvent"])


def test_a_rejection_names_every_reason() -> None:
    assert SCHEMAS["rejection"]["properties"]["reason"]["enum"] == [reason.value for reason in Reason]


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_is_valid_decodes_and_is_written_as_valid(name: str, example: dict[str, Any]) -> None:
    validator(name).validate(example)
    record = decode(json.dumps(example).encode(), STRUCTS[name])
    written = calls.encode(record) if isinstance(record, CallEvent) else encode(record)
    validator(name).validate(json.loads(written))
    assert decode(written, STRUCTS[name]) == record


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_leave_out_no_field(name: str) -> None:
    shown = set().union(*SCHEMAS[name]["examples"])
    assert shown == set(SCHEMAS[name]["properties"])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_refuses_what_is_missing_or_of_another_type(name: str) -> None:
    example = SCHEMAS[name]["examples"][0]
    for field in SCHEMAS[name]["required"]:
        rest = {key: value for key, value in example.items() if key != field}
        assert not validator(name).is_valid(rest)
    for field in example:
        assert not validator(name).is_valid({**example, field: object})


def test_a_match_needs_a_caller_a_callee_or_a_trunk() -> None:
    rule = SCHEMAS["block-rule"]["examples"][0]
    assert not validator("block-rule").is_valid({**rule, "match": {"network": "CM"}})
    assert validator("block-rule").is_valid({**rule, "match": {"callee": "+8613800138000"}})


def test_what_ingest_refuses_is_written_as_valid() -> None:
    settings = Settings(ingest=IngestSettings(max_message_bytes=2_000, max_events_per_message=5))
    ingest = Ingest(NumberingPlan.load(settings.numbering), settings)
    good = SCHEMAS["call-event"]["examples"][0]
    bad: list[Any] = [
        {**good, "type": 1},
        {**good, "id": ""},
        {**good, "caller": "\n"},
        {},
        17,
        {**good, "time": 1},
    ]
    messages = [b"", b"\xff", b"[" * 100, b" " * 3_000, json.dumps(bad).encode()]
    records = [SourceRecord(message, "calls", 0, offset, 0) for offset, message in enumerate(messages)]
    rejected = ingest(records).rejected
    assert len({rejection.reason for rejection in rejected}) >= 9
    for rejection in rejected:
        validator("rejection").validate(json.loads(encode(rejection)))


class TestGuide:
    """docs/call-events.md says what the schema and the code say."""

    GUIDE = (ROOT / "docs/call-events.md").read_text()

    def table(self, heading: str) -> list[list[str]]:
        section = self.GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
        rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
        return [[cell.strip() for cell in row] for row in rows]

    def test_every_reason_is_explained(self) -> None:
        rows = self.table("What is refused, and why")
        assert [row[0].strip("`") for row in rows] == [reason.value for reason in Reason]
        assert all(len(row[1]) > 20 for row in rows)

    def test_every_field_is_explained_with_its_type_and_bounds(self) -> None:
        properties = SCHEMAS["call-event"]["properties"]
        rows = {row[0].strip("`"): row for row in self.table("Fields")}
        assert list(rows) == list(properties)
        for name, part in properties.items():
            _, type_, meaning = rows[name]
            assert meaning.startswith("required") == (name in SCHEMAS["call-event"]["required"])
            if "enum" in part:
                assert re.findall(r"`(\w+)`", type_) == [choice for choice in part["enum"] if choice]
            elif name != "time":
                types = part["type"] if isinstance(part["type"], list) else [part["type"]]
                assert type_.split(",")[0] == types[0]
                limits = [
                    part.get("minimum", part.get("minLength")),
                    part.get("maximum", part.get("maxLength")),
                ]
                assert [int(number) for number in re.findall(r"\d+", type_)] == [
                    limit for limit in limits if limit is not None
                ]

    def test_the_examples_are_call_events(self) -> None:
        examples = re.findall(r"```json\n(.*?)```", self.GUIDE, re.DOTALL)
        assert len(examples) == 3
        for example in examples:
            validator("call-event").validate(json.loads(example))
            decode(example.encode(), CallEvent)
