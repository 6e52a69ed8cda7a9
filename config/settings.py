"""Settings: declared once, here. `ringfence.yaml`, the reference page and the chart come from this.

``Settings()`` is the defaults below, whatever the environment; `config.loading` puts ``ringfence.yaml``,
the environment and the flags on top of them.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DetectorMode = Literal["off", "report", "shadow", "enforce"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Chance = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def more_than(section: BaseModel, more: str, less: str) -> None:
    """Raises ValueError unless the first of two settings is greater."""
    a, b = getattr(section, more), getattr(section, less)
    if a <= b:
        raise ValueError(f"{more} is {a}; expected more than {less} ({b})")


def less_than(section: BaseModel, less: str, more: str) -> None:
    """Raises ValueError unless the first of two settings is smaller."""
    a, b = getattr(section, less), getattr(section, more)
    if a >= b:
        raise ValueError(f"{less} is {a}; expected less than {more} ({b})")


def at_most(section: BaseModel, less: str, more: str) -> None:
    """Raises ValueError where the first of two settings is greater."""
    a, b = getattr(section, less), getattr(section, more)
    if a > b:
        raise ValueError(f"{less} is {a}; expected at most {more} ({b})")


def less_than_one(section: BaseModel, *shares: str) -> None:
    """Raises ValueError unless shares leave room for another."""
    values = [getattr(section, share) for share in shares]
    if sum(values) >= 1:
        raise ValueError(
            f"{', '.join(shares)} are {', '.join(map(str, values))}; expected less than 1 together"
        )


class KafkaSettings(Section):
    brokers: str = Field("", description="host:port of Kafka, comma-separated; empty: the embedded broker")
    topic_prefix: str = Field("", description="put before every topic name and consumer group")
    partitions: Positive = Field(8, description="partitions of `calls` and `frames`")
    replication: Positive = Field(1, description="replicas of every topic (3 in production)")
    session_timeout_ms: Positive = Field(
        10_000, description="a silent worker loses its partitions after this"
    )
    request_timeout_ms: Positive = Field(30_000, description="time-out of one request to the broker")
    idempotent: bool = Field(
        True,
        description="producers ask the broker to drop repeated sends; off only for a broker without that",
    )
    retention_hours: Positive = Field(48, description="how long calls, frames and summaries are kept")
    audit_days: Positive = Field(400, description="how long alerts and commands are kept in Kafka")


class IngestSettings(Section):
    max_message_bytes: Positive = Field(16 * 1024 * 1024, description="a longer message is rejected whole")
    max_events_per_message: Positive = Field(
        100_000, description="events beyond this in a message are rejected"
    )
    max_ahead_ms: Positive = Field(60_000, description="an event this far ahead of its record is rejected")
    keep_original_bytes: Positive = Field(65_536, description="bytes of a rejected event that are kept")


class NumberingSettings(Section):
    home_country: Positive = Field(86, description="country code that national numbers belong to")
    additions: str = Field("", description="CSV of an operator's own additions to the plan; empty: none")


class DetectSettings(Section):
    tracked_numbers: Positive = Field(
        1 << 17,
        description="subjects a partition keeps: callers (296 bytes each), and callees (264)",
    )
    tracked_blocks: Positive = Field(1 << 16, description="number blocks a partition keeps (368 bytes each)")
    remembered_events: Positive = Field(
        1 << 20, description="event ids a partition remembers for de-duplication (24 bytes each)"
    )
    lateness_ms: Positive = Field(
        600_000, description="an event older than this behind the newest counts as late"
    )
    rebuild_ms: Positive = Field(
        86_400_000, description="how far back `frames` is replayed where there is no snapshot of a partition"
    )
    snapshot_ms: Annotated[int, Field(ge=0)] = Field(
        300_000, description="each partition's state is written to `snapshots` so often; 0: never"
    )
    open_alerts: Positive = Field(
        10_000, description="alerts a partition can have open; beyond them the longest silent one is closed"
    )
    clones: Positive = Field(
        1 << 10,
        description="numbers a partition watches since they called from a second network (672 bytes each)",
    )
    marketers: Positive = Field(
        1 << 14,
        description="callers a partition watches since they called who refuses marketing (104 bytes each)",
    )
    listed_numbers: Positive = Field(
        1 << 20, description="entries of `lists` a worker keeps for detection (some 200 bytes each)"
    )
    misplaced_blocks: Positive = Field(
        8_192, description="blocks a partition notes that come from where they should not (240 bytes each)"
    )
    watched_trunks: Positive = Field(
        2_048, description="trunks whose resembling callers a partition notes (3.4 KB each)"
    )
    learnt_shares: Positive = Field(
        8_192, description="counts of what is usual that a partition keeps (24 bytes each)"
    )
    watched_callees: Positive = Field(
        512, description="callees under many calls whose callers a partition notes, 128 calls each"
    )
    trails: Positive = Field(
        2_048, description="callers, and blocks, of which a partition keeps a trail (272 bytes each at most)"
    )


class OutcomeSettings(Section):
    """What becomes of the calls of abusive and of ordinary heavy callers: docs/detectors/burst.md."""

    abusive_short: Chance = Field(
        0.08, description="share of a robot's calls that are answered for at most 6 s"
    )
    abusive_brief: Chance = Field(0.08, description="the same, for 6 to 20 s")
    abusive_talked: Chance = Field(0.04, description="the same, for more than 20 s")
    silent_short: Chance = Field(
        0.30, description="share of a silent caller's calls that are answered for at most 6 s"
    )
    silent_brief: Chance = Field(0.06, description="the same, for 6 to 20 s")
    silent_talked: Chance = Field(0.04, description="the same, for more than 20 s")
    dialler_short: Chance = Field(
        0.04, description="share of a call centre's calls that are answered for at most 6 s"
    )
    dialler_brief: Chance = Field(0.10, description="the same, for 6 to 20 s")
    dialler_talked: Chance = Field(0.30, description="share of them that become talk")
    announcer_short: Chance = Field(
        0.10, description="share of a notification service's calls that are answered for at most 6 s"
    )
    announcer_brief: Chance = Field(0.45, description="the same, for 6 to 20 s")
    announcer_talked: Chance = Field(0.06, description="share of them that become talk")
    stale_short: Chance = Field(
        0.01, description="share of the calls of a call centre with an old list, answered for at most 6 s"
    )
    stale_brief: Chance = Field(0.03, description="the same, for 6 to 20 s")
    stale_talked: Chance = Field(0.28, description="share of them that become talk")
    abusive_invalid: Chance = Field(
        0.1, description="share of calls to numbers that do not exist, for an abusive caller"
    )
    ordinary_invalid: Chance = Field(0.03, description="the same for an ordinary caller with an old list")
    notable_odds: Annotated[float, Field(gt=1)] = Field(
        5.0, description="odds for abuse at which an alert is medium: worth a look, no rule"
    )
    odds: Annotated[float, Field(gt=1)] = Field(
        1_000.0, description="odds for abuse at which an alert is high and a rule is proposed"
    )

    @model_validator(mode="after")
    def _apart(self) -> OutcomeSettings:
        for lower, higher in (
            ("abusive_talked", "dialler_talked"),
            ("abusive_talked", "announcer_talked"),
            ("abusive_talked", "stale_talked"),
            ("ordinary_invalid", "abusive_invalid"),
            ("notable_odds", "odds"),
        ):
            less_than(self, lower, higher)
        for kind in ("abusive", "silent", "dialler", "announcer", "stale"):
            less_than_one(self, f"{kind}_short", f"{kind}_brief", f"{kind}_talked")
        return self


class BurstSettings(OutcomeSettings):
    """Burst dialling. Why each figure is what it is: docs/detectors/burst.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    odds: Annotated[float, Field(gt=1)] = Field(
        3_000.0, description="odds for abuse at which an alert is high and a rule is proposed"
    )
    calls_10s: Positive = Field(
        6, description="attempts in 10 s that make a number suspect; people dial 1 or 2"
    )
    calls_1m: Positive = Field(5, description="attempts in 1 min that make a number suspect; couriers make 1")
    calls_10m: Positive = Field(
        6, description="attempts in 10 min that make a number suspect; couriers make 10, and are answered"
    )
    fan_out: Share = Field(
        0.6, description="least share of distinct callees; redials of one callee are below"
    )
    redials: Positive = Field(
        40, description="attempts in 10 min, to three callees or more, from which redials are no excuse"
    )
    pace_10m: Positive = Field(
        60, description="attempts in 10 min at which the pace itself speaks neither for nor against a caller"
    )
    hand_calls: Positive = Field(
        4, description="attempts in 10 s to distinct callees that a hand can make on a mobile telephone"
    )
    probe_prefixes: int = Field(
        4, ge=2, le=6, description="dialling prefixes tried on one number within 10 min that make a probe"
    )


class RotationSettings(OutcomeSettings):
    """Caller-id rotation. Why each figure is what it is: docs/detectors/rotation.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    calls: Positive = Field(
        7, description="attempts of a block's light numbers in 10 min that make it suspect"
    )
    numbers: Positive = Field(3, description="numbers of the block that must have made them")
    fan_out: Share = Field(0.6, description="least share of distinct callees")
    number_calls: Positive = Field(
        2, description="attempts of one number before it is proposed where its block has ordinary users"
    )


class UnallocatedSettings(Section):
    """Callers that cannot exist. Why each figure is what it is: docs/detectors/unallocated.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    number_calls: Positive = Field(2, description="calls of one number within an hour before it is proposed")
    block_calls: Positive = Field(3, description="calls of one block within an hour before it is proposed")
    block_numbers: Positive = Field(2, description="numbers of the block that must have made them")
    machine_callees: Positive = Field(
        6, description="distinct callees in 10 min from which a machine's number is no machine's"
    )
    least_prefix_digits: Positive = Field(
        7, description="digits, country code included, that a proposed prefix has at least"
    )


class FloodSettings(Section):
    """Call bombing. Why each figure is what it is: docs/detectors/flood.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    calls_10s: Positive = Field(6, description="attempts on one callee in 10 s that make a flood")
    calls_1m: Positive = Field(7, description="attempts on one callee in 1 min that make a flood")
    calls_10m: Positive = Field(8, description="attempts on one callee in 10 min that make a flood")
    calls_1h: Positive = Field(
        12, description="attempts on one callee in an hour that make a flood where hardly any becomes talk"
    )
    calls_1d: Positive = Field(24, description="the same for a day")
    watch_10m: Positive = Field(
        5,
        description="attempts in 10 min from which a callee's callers are noted; or half of the two above",
    )
    habit_factor: Annotated[float, Field(ge=1)] = Field(
        4.0, description="times its ordinary attempts in 10 min that a callee must get"
    )
    min_ends: Positive = Field(10, description="outcomes that must be known before a rule is proposed")
    abusive_talked: Chance = Field(0.03, description="share of calls that become talk (over 20 s) in a flood")
    ordinary_talked: Chance = Field(0.35, description="the same for a busy ordinary callee")
    notable_odds: Annotated[float, Field(gt=1)] = Field(
        8.0, description="odds for abuse at which an alert is medium: worth a look, no rule"
    )
    odds: Annotated[float, Field(gt=1)] = Field(
        1_000.0, description="odds for abuse at which an alert is high and rules are proposed"
    )
    caller_attempts: Positive = Field(3, description="attempts of one stranger before it is proposed")
    block_callers: Positive = Field(3, description="strangers of one block before their prefix is proposed")
    trunk_attempts: Positive = Field(
        40, description="attempts of scattered strangers over one trunk before callee and trunk are proposed"
    )
    length_ms: Positive = Field(20_000, description="talk that makes two numbers acquainted")

    @model_validator(mode="after")
    def _apart(self) -> FloodSettings:
        less_than(self, "abusive_talked", "ordinary_talked")
        less_than(self, "notable_odds", "odds")
        return self


class PolicySettings(Section):
    """Calls against refusals, consents and calling hours. Why each figure is what it is:
    docs/detectors/policy.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    time_zone: str = Field("Asia/Shanghai", description="IANA time zone by whose clock hours are kept")
    marketing_hours: str = Field("9-20", description="local hours of marketing calls, from-to; empty: any")
    collection_hours: str = Field("8-21", description="local hours of debt collectors; empty: any")
    notification_hours: str = Field("", description="local hours of notifications; empty: any")
    service_hours: str = Field("", description="local hours of service calls; empty: any")
    consent_for: str = Field(
        "", description="categories whose calls need the callee's consent, comma-separated; empty: none"
    )
    persistent: Positive = Field(
        5,
        description="callees that a marketer or its company called against a list or the hours in a day, "
        "from which the marketer itself is proposed, where they are a tenth of the calls",
    )
    outside_callees: Positive = Field(
        3, description="callees called outside hours before rules are proposed; one may be a slow clock"
    )
    abusive_share: Chance = Field(
        0.6, description="share of refusers among the callees of who ignores refusals"
    )
    ordinary_factor: Annotated[float, Field(ge=1)] = Field(
        2.0, description="times the usual share of refusers that the worst ordinary caller calls"
    )
    usual_share: Chance = Field(0.1, description="share of calls that go to refusers, until it is learnt")
    usual_weight: Positive = Field(500, description="calls that this share counts for beside those learnt")
    notable_refusers: Positive = Field(5, description="refusers called, one a number block, before an alert")
    min_refusers: Positive = Field(7, description="the same before a rule is proposed")
    notable_odds: Annotated[float, Field(gt=1)] = Field(50.0, description="odds for abuse before an alert")
    odds: Annotated[float, Field(gt=1)] = Field(
        1_000.0, description="odds for abuse at which an alert is high and a rule is proposed"
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time_zone is {zone!r}; expected an IANA name such as Asia/Shanghai") from error
        return zone

    @field_validator("marketing_hours", "collection_hours", "notification_hours", "service_hours")
    @classmethod
    def _window(cls, hours: str) -> str:
        found = re.fullmatch(r"(\d{1,2})-(\d{1,2})|", hours, re.ASCII)
        if found is None or (hours and not int(found[1]) < int(found[2]) <= 24):
            raise ValueError(f"hours are {hours!r}; expected from-to such as 9-20, at most 0-24, or nothing")
        return hours

    @field_validator("consent_for")
    @classmethod
    def _categories(cls, given: str) -> str:
        known = {"marketing", "notification", "service", "collection"}
        unknown = {name.strip() for name in given.split(",")} - known - {""}
        if unknown:
            raise ValueError(f"consent_for names {', '.join(sorted(unknown))}; expected of {sorted(known)}")
        return given

    def minutes(self, category: str) -> tuple[int, int]:
        """From which minute of the local day on, and before which, a category may call."""
        hours: str = getattr(self, f"{category}_hours")
        first, _, last = (hours or "0-24").partition("-")
        return 60 * int(first), 60 * int(last)


class PlaceSettings(Section):
    """Numbers that are where they should not be: docs/detectors/misrouted.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    usual_share: Share = Field(
        0.2, gt=0, description="share of an operator's numbers from which a way is no wrong one"
    )
    least_numbers: Positive = Field(
        24, description="distinct numbers that must have been heard before any way can be wrong"
    )
    prior_share: Share = Field(
        0.03, gt=0, lt=1, description="share of strays that is assumed before it is learnt"
    )
    prior_numbers: Positive = Field(50, description="distinct numbers that assumption is worth")
    abusive_share: Share = Field(
        0.9, gt=0, lt=1, description="share of an abused range's numbers that come the wrong way"
    )
    medium_odds: Annotated[float, Field(gt=1)] = Field(
        60.0, description="odds for abuse at which there is an alert"
    )
    odds: Annotated[float, Field(gt=1)] = Field(
        10_000.0, description="odds for abuse at which it is high and a rule is proposed"
    )

    @model_validator(mode="after")
    def _apart(self) -> PlaceSettings:
        less_than(self, "prior_share", "abusive_share")
        at_most(self, "medium_odds", "odds")
        return self


class MisroutedSettings(PlaceSettings):
    """Ranges on trunks whose operator cannot originate them. Why: docs/detectors/misrouted.md."""

    carries: str = Field(
        "",
        description="operators that trunks may carry, as `TRUNK: CM CT; TRUNK: CU`; of others it is learnt",
    )

    @property
    def carried(self) -> dict[str, list[str]]:
        """Operators by trunk. Raises ValueError where ``carries`` is not in its form."""
        carried = {}
        for part in filter(None, map(str.strip, self.carries.split(";"))):
            trunk, colon, operators = part.rpartition(":")
            if not (colon and trunk.strip() and operators.split()):
                raise ValueError(f"carries has {part!r}; expected TRUNK: OPERATOR OPERATOR…")
            carried[trunk.strip()] = operators.split()
        return carried

    @model_validator(mode="after")
    def _readable(self) -> MisroutedSettings:
        self.carried  # noqa: B018 - raises
        return self


class ForeignGatewaySettings(PlaceSettings):
    """Domestic numbers from abroad that do not roam. Why: docs/detectors/foreign_gateway.md."""

    usual_share: Share = Field(
        0.3, gt=0, description="share of all numbers from which unconfirmed ones at gateways are usual"
    )
    few_numbers: int = Field(
        4, ge=2, le=16, description="numbers of a block before a rule, where a network says not who roams"
    )
    reached_by: Positive = Field(
        8, description="unrelated callers through the gateway that make a callee's block one routed abroad"
    )


class NeighbourSettings(Section):
    """Callers that resemble their callees. Why each figure is what it is: docs/detectors/neighbour.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    usual_near: Share = Field(
        0.0001, gt=0, lt=1, description="share of a trunk's calls by new strangers of the callee's own block"
    )
    usual_alike: Share = Field(
        0.003, gt=0, lt=1, description="the same by others who share all but the last six digits"
    )
    usual_loose: Share = Field(
        0.01, gt=0, lt=1, description="least share by others who share all but the last seven digits"
    )
    prior_attempts: Positive = Field(
        2_000,
        description="attempts that the share on other trunks is worth against what a trunk's own told",
    )
    new_calls: Positive = Field(2, description="calls in a day up to which a caller is new")
    family_numbers: Positive = Field(
        100, description="numbers apart up to which two were bought together: a family's, a company's"
    )
    medium_odds: Annotated[float, Field(gt=1)] = Field(
        300.0, description="odds for abuse at which there is an alert"
    )
    odds: Annotated[float, Field(gt=1)] = Field(
        100_000.0, description="odds for abuse at which it is high, where there is a pair of prefixes"
    )
    pair_calls: int = Field(
        3, ge=2, le=32, description="calls within an hour that a proposed pair of prefixes must cover"
    )

    @model_validator(mode="after")
    def _apart(self) -> NeighbourSettings:
        at_most(self, "medium_odds", "odds")
        return self


class BehaviourSettings(Section):
    """Outliers among busy callers. Why each figure is what it is: docs/detectors/behaviour.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    min_ends: Positive = Field(5, description="outcomes of the day that must be known to be compared at all")
    block_ends: Positive = Field(10, description="outcomes that must be known before a rule is proposed")
    fan_out: Share = Field(
        0.6, description="least share of distinct callees; redials of one callee are below"
    )
    redials: Positive = Field(
        40, description="attempts in 10 min, to three callees or more, from which redials are no excuse"
    )
    unusual: Chance = Field(
        0.98, description="quantile of the peers' scores above which a subject stands out"
    )
    extreme: Chance = Field(0.9995, description="the same for a low alert by the score alone")
    abusive_brief: Chance = Field(0.14, description="share of an abuser's calls that last up to 20 s")
    abusive_talked: Chance = Field(0.10, description="share of an abuser's calls that last longer")
    silent_brief: Chance = Field(0.04, description="calls up to 20 s, of an abuser with whom nobody talks")
    silent_talked: Chance = Field(0.02, description="longer ones of the same")
    ordinary_brief: Chance = Field(0.13, description="calls up to 20 s, of the worst ordinary call centre")
    ordinary_talked: Chance = Field(0.32, description="longer ones of the same")
    message_brief: Chance = Field(0.45, description="calls up to 20 s, of a service that reads a message out")
    message_talked: Chance = Field(0.15, description="longer ones of the same")
    missed_brief: Chance = Field(
        0.06, description="calls up to 20 s, of an honest call centre that few answer"
    )
    missed_talked: Chance = Field(0.15, description="longer ones of the same")
    stale_brief: Chance = Field(0.03, description="calls up to 20 s, of a call centre with an old list")
    stale_talked: Chance = Field(0.28, description="longer ones of the same")
    abusive_unwanted: Chance = Field(
        0.3, description="calls of an abuser that are refused, last up to 6 s or are to no number"
    )
    ordinary_unwanted: Chance = Field(0.12, description="the same of the worst ordinary call centre")
    least_reciprocity: Chance = Field(
        0.25, description="quantile of the peers' calls received by calls made that counts as usual"
    )
    most_reciprocity: Chance = Field(0.1, description="most that may count as usual")
    suspect_odds: Annotated[float, Field(gt=1)] = Field(
        40.0, description="odds for abuse at which a subject that stands out is medium"
    )
    outcome_odds: Annotated[float, Field(ge=1)] = Field(
        2.0, description="odds that the outcomes alone must reach before a rule is proposed"
    )
    unwanted_odds: Annotated[float, Field(ge=1)] = Field(
        3.0, description="odds that the unwanted calls alone must reach before a rule is proposed"
    )
    odds: Annotated[float, Field(gt=1)] = Field(
        30_000.0, description="odds of all evidence together at which a rule is proposed"
    )


class ReputationSettings(Section):
    """A model that people teach. Why each figure is what it is: docs/detectors/reputation.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    kept_vectors: Positive = Field(20_000, description="subjects whose vectors wait for a label")
    label_hours: Positive = Field(36, description="a label teaches the vectors of so many hours before it")
    complaints: Positive = Field(
        3, description="different people that must complain of a number before it counts as malicious"
    )
    least_labels: Positive = Field(
        50, description="labelled subjects of either sort that must be known before anything is said"
    )
    threshold: Chance = Field(0.95, description="probability of abuse from which a subject is named")
    suspect_precision: Chance = Field(
        0.9, description="precision that the model must have shown at the threshold for medium alerts"
    )
    precision: Chance = Field(
        0.99, description="the same before a rule is proposed; both are lower bounds at 95 % confidence"
    )
    proofs: Positive = Field(
        2_000, description="latest labelled predictions that the precision is taken over"
    )


class SweepSettings(Section):
    """Sequential number sweeps. Why each figure is what it is: docs/detectors/sweep.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    close_step: int = Field(4, ge=1, le=64, description="numbers between neighbours that are close")
    step: int = Field(16, ge=1, le=256, description="numbers between neighbours that are near")
    active_calls: int = Field(
        4, ge=2, description="attempts in 10 min from which a caller is followed without a first neighbour"
    )
    least_run: int = Field(8, ge=3, description="distinct neighbouring callees before anything is said")
    block_numbers: int = Field(2, ge=2, description="numbers of a block that must share a run")
    min_ends: Positive = Field(3, description="outcomes that must be known before a rule is proposed")
    abusive_close: Chance = Field(
        0.5, description="share of a sweep's callees within close_step of an earlier one"
    )
    ordinary_close: Chance = Field(
        0.12, description="the same for the worst ordinary caller, a dense list in order"
    )
    abusive_near: Chance = Field(0.25, description="share of a sweep's callees that are near only")
    ordinary_near: Chance = Field(0.25, description="the same for the worst ordinary caller")
    abusive_talked: Chance = Field(0.1, description="share of calls answered for over 6 s in a sweep")
    ordinary_talked: Chance = Field(0.35, description="the same for the worst ordinary caller, a call centre")
    abusive_invalid: Chance = Field(
        0.15, description="share of calls to numbers that do not exist, in a sweep"
    )
    ordinary_invalid: Chance = Field(0.02, description="the same for an ordinary caller with an old list")
    outcome_odds: Annotated[float, Field(ge=1)] = Field(
        8.0, description="odds for abuse that the outcomes alone must give before a rule is proposed"
    )
    loose_outcome_odds: Annotated[float, Field(ge=1)] = Field(
        200.0, description="the same for a run that leaves numbers out, as a dense list in order does"
    )
    medium_odds: Annotated[float, Field(gt=1)] = Field(15.0, description="odds at which an alert is medium")
    odds: Annotated[float, Field(gt=1)] = Field(
        1_000.0, description="odds for abuse at which an alert is high and a rule is proposed"
    )

    @model_validator(mode="after")
    def _apart(self) -> SweepSettings:
        more_than(self, "step", "close_step")
        more_than(self, "abusive_close", "ordinary_close")
        more_than(self, "ordinary_talked", "abusive_talked")
        more_than(self, "abusive_invalid", "ordinary_invalid")
        less_than_one(self, "abusive_close", "abusive_near")
        less_than_one(self, "ordinary_close", "ordinary_near")
        return self


class WangiriSettings(Section):
    """One-ring calls. Why each figure is what it is: docs/detectors/wangiri.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    ring_ms: Positive = Field(5_000, description="ms of ringing up to which a call given up is a ring")
    least_callees: int = Field(6, ge=3, description="distinct callees rung before anything is said")
    fan_out: Share = Field(0.5, description="least share of distinct callees among the rings")
    block_numbers: int = Field(2, ge=2, description="numbers of a block that must take part")
    friends_share: Share = Field(
        0.25, gt=0, description="talks to a block's numbers, by its rings, from which friends are rung"
    )
    fast_rings: Positive = Field(
        6, description="rings in 20 min that make a caller fast; couriers who ring at the door make 2"
    )
    abusive_rings: Chance = Field(0.75, description="share of rings in a wangiri campaign")
    ordinary_rings: Chance = Field(
        0.25, description="the same for the worst ordinary caller, who rings once at the door"
    )
    abusive_answered: Chance = Field(0.05, description="share of answered calls in a campaign")
    ordinary_answered: Chance = Field(0.45, description="the same for the worst ordinary caller")
    medium_odds: Annotated[float, Field(gt=1)] = Field(
        15.0, description="odds at which an alert about a fast caller is medium; `odds` where it is slow"
    )
    odds: Annotated[float, Field(gt=1)] = Field(
        1_000.0, description="odds for abuse at which an alert is high and a rule is proposed"
    )
    slow_odds: Annotated[float, Field(gt=1)] = Field(
        100_000.0, description="the same for a caller that is not fast"
    )

    @model_validator(mode="after")
    def _apart(self) -> WangiriSettings:
        more_than(self, "abusive_rings", "ordinary_rings")
        more_than(self, "ordinary_answered", "abusive_answered")
        less_than_one(self, "abusive_rings", "abusive_answered")
        less_than_one(self, "ordinary_rings", "ordinary_answered")
        return self


class CloneSettings(Section):
    """One number on two networks. Why each figure is what it is: docs/detectors/clone.md."""

    mode: DetectorMode = Field("enforce", description="the strongest mode its rules may have")
    skew_ms: int = Field(
        2_000,
        ge=0,
        description="clocks of two networks' probes differ by at most this; at each end of a talk",
    )
    near_ms: Positive = Field(
        600_000, description="a change of network within this time counts; ported numbers change once"
    )
    overlap_odds: Annotated[float, Field(gt=1)] = Field(
        30.0, description="odds for a clone that a call during a talk from another network gives"
    )
    change_odds: Annotated[float, Field(gt=1)] = Field(
        2.0, description="odds for a clone that a change of network within minutes gives"
    )
    abusive_talked: Chance = Field(
        0.25, description="share of calls that become talk (over 6 s) for who uses a clone"
    )
    ordinary_talked: Chance = Field(0.5, description="the same for a subscriber")
    usual_share: Share = Field(
        0.01, description="share of a network's numbers seen on another from which that one carries its calls"
    )
    min_callees: Positive = Field(3, description="callees called from elsewhere before an alert")
    quiet_callees: Positive = Field(8, description="the same where no two calls overlapped")
    min_overlaps: Positive = Field(
        2, description="overlaps, less two for each on the own network, before a rule is proposed"
    )
    notable_odds: Annotated[float, Field(gt=1)] = Field(15.0, description="odds for a clone before an alert")
    odds: Annotated[float, Field(gt=1)] = Field(
        1_000.0, description="odds for a clone at which an alert is high and a rule is proposed"
    )

    @model_validator(mode="after")
    def _apart(self) -> CloneSettings:
        more_than(self, "ordinary_talked", "abusive_talked")
        return self


class DetectorsSettings(Section):
    burst: BurstSettings = BurstSettings()
    rotation: RotationSettings = RotationSettings()
    unallocated: UnallocatedSettings = UnallocatedSettings()
    flood: FloodSettings = FloodSettings()
    policy: PolicySettings = PolicySettings()
    misrouted: MisroutedSettings = MisroutedSettings()
    foreign_gateway: ForeignGatewaySettings = ForeignGatewaySettings()
    neighbour: NeighbourSettings = NeighbourSettings()
    behaviour: BehaviourSettings = BehaviourSettings()
    reputation: ReputationSettings = ReputationSettings()
    sweep: SweepSettings = SweepSettings()
    wangiri: WangiriSettings = WangiriSettings()
    clone: CloneSettings = CloneSettings()


class EvidenceSettings(Section):
    """How findings become alerts. Why each figure is what it is: docs/alerts.md."""

    agreement_odds: Annotated[float, Field(gt=1)] = Field(
        20.0, description="odds for abuse that independent findings must reach together to raise the severity"
    )
    block_numbers: int = Field(
        2, ge=2, le=64, description="numbers of one block from which their alerts become one of the block"
    )
    block_ms: Positive = Field(
        3_600_000, description="time within which these numbers must have been found by related detectors"
    )
    quiet_ms: Positive = Field(
        1_800_000, description="an alert is over after this without a finding; then the next opens another"
    )


class CandidatesSettings(Section):
    """Which subjects are told to `profile`. Why each figure is what it is: docs/detection.md."""

    mode: Literal["off", "on"] = Field("on", description="whether candidates are told at all")
    suspects: Positive = Field(
        4_096, description="callers a partition keeps sums of the day for (504 bytes each)"
    )
    suspect_blocks: Positive = Field(2_048, description="blocks it keeps them for (504 bytes each)")
    open_hour: Positive = Field(3, description="attempts in an hour from which sums are kept")
    open_day: Positive = Field(5, description="attempts in a day from which sums are kept")
    calls_hour: Positive = Field(10, description="attempts in an hour that make a number a candidate")
    calls_day: Positive = Field(12, description="attempts in a day that make a number a candidate")
    block_numbers: Positive = Field(
        4, description="numbers of a block that must have called before the block is a candidate"
    )
    block_calls: Positive = Field(20, description="attempts in a day that make a block a candidate")
    block_talked: Share = Field(
        0.35, description="most calls of over 20 s among the ends of a block for it to be a candidate"
    )
    growth: Annotated[float, Field(gt=0, le=2)] = Field(
        0.25, description="share by which attempts and ends must grow before a candidate is told again"
    )


class CampaignSettings(Section):
    """How alerts become campaigns. Why each figure is what it is: docs/campaigns.md."""

    quiet_ms: Positive = Field(1_800_000, description="a campaign closes this long after its last call")
    overlap_ms: Positive = Field(
        600_000, description="an alert joins by its trunk if it began at most this long after the last call"
    )
    keep_ms: Positive = Field(86_400_000, description="a closed campaign stays on its topic this long")
    most: Positive = Field(2_000, description="campaigns on the topic at once; the longest silent one goes")

    @model_validator(mode="after")
    def _in_order(self) -> CampaignSettings:
        more_than(self, "keep_ms", "quiet_ms")
        return self


class ProfileSettings(Section):
    mode: Literal["off", "report"] = Field("report", description="whether trunks are profiled")
    settle_seconds: Positive = Field(
        5, description="a second is judged once every partition has told of traffic this much newer"
    )
    patience_seconds: Positive = Field(
        300, description="a partition further behind the others than this is not waited for"
    )
    tracked_trunks: Positive = Field(
        4_096, description="trunks and network pairs kept; the one longest without traffic goes"
    )
    min_attempts: Positive = Field(30, description="attempts a trunk's seconds are pooled to and judged at")
    pool_seconds: Positive = Field(
        60, description="a pool ends after this even with fewer attempts, unjudged"
    )
    min_calls: Positive = Field(10, description="calls a ratio or a mean time must rest on")
    half_life_seconds: Positive = Field(600, description="half-life of a trunk's own baseline")
    grace_pools: Positive = Field(8, description="pools a new trunk is learnt from before it is judged")
    grace_seconds: Positive = Field(300, description="time a new trunk is learnt from before it is judged")
    trees: Positive = Field(10, description="half-space trees in the forest")
    tree_height: Annotated[int, Field(ge=1, le=12)] = Field(8, description="levels of a half-space tree")
    forest_vectors: Positive = Field(64, description="vectors the forest's reference window holds")
    threshold_vectors: Positive = Field(2_048, description="recent scores the threshold is learnt from")
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.98, description="a score above this quantile of recent scores is an outlier"
    )
    notable_deviations: Annotated[float, Field(gt=0, le=6)] = Field(
        3.0, description="deviations from a trunk's baseline that make a feature notable (at most 6)"
    )
    attack_deviations: Annotated[float, Field(gt=0, le=6)] = Field(
        2.5, description="the same for features that move together as they do in an attack"
    )
    notable_ratio: Annotated[float, Field(gt=1)] = Field(
        1.5, description="least factor by which a notable rate, time or diversity has changed"
    )
    notable_change: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="least change of a notable answer-seizure ratio"
    )
    new_numbers_odds: Annotated[float, Field(gt=1)] = Field(
        100_000,
        description="odds at which a trunk's numbers that are new that day are taken to be of one campaign",
    )
    confirm_pools: Positive = Field(2, description="successive outlying pools that make an alert")
    hold_seconds: Positive = Field(1_800, description="an outlying level is learnt as usual after this long")
    drift_half_life_seconds: Positive = Field(
        3_600, description="half-life of the level that a drift is a drift from"
    )
    drift_delta: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.002, description="significance of ADWIN's drift test; smaller: fewer drifts"
    )
    season_weeks: Positive = Field(
        3, description="weeks an hour of the week must be known before what is usual then is no outlier"
    )
    epoch_hours: Positive = Field(2, description="a model learns for one epoch, then judges for one")


class RespondSettings(Section):
    mode: Literal["report", "shadow", "enforce"] = Field(
        "shadow", description="the strongest mode a rule may have"
    )
    ttl_ms: Annotated[int, Field(gt=0, le=518_400_000)] = Field(
        600_000, description="life of a rule after the last call of its alert"
    )
    issuer: str = Field("ringfence", description="who signs as issuer of the rules")
    min_severity: Literal["info", "low", "medium", "high", "critical"] = Field(
        "high", description="alerts below this severity give no rule"
    )
    min_prefix_digits: Annotated[int, Field(ge=3, le=12)] = Field(
        5, description="digits that a rule's prefix must have after its country code"
    )
    max_rules: Positive = Field(100_000, description="rules on the topic at once; more are refused")
    revoked_ms: Annotated[int, Field(gt=0, le=518_400_000)] = Field(
        86_400_000, description="a revoked rule is remembered this long after its alerts' last call"
    )
    allow: str = Field("", description="YAML file of allow-list entries that always apply; empty: none")
    service_numbers: Literal["label", "throttle", "none"] = Field(
        "label",
        description="what rules do about a short service or a registered enterprise number as caller; it is "
        "never blocked",
    )
    service_cps: Annotated[float, Field(gt=0)] = Field(
        0.1, description="calls/s a throttled service number keeps, or twice its mean rate of the day if more"
    )
    service_label: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "Reported as a nuisance call", description="what is shown with the calls of a labelled service number"
    )


class StoreSettings(Section):
    url: str = Field("", description="clickhouse://user:password@host:9000/database; empty: embedded chdb")
    path: str = Field("", description="directory of the embedded store; empty: a temporary one")
    calls: bool = Field(True, description="keep every call event for tracing")
    calls_days: int = Field(7, gt=0, le=10_000, description="days call events are kept")
    days: int = Field(400, gt=0, le=10_000, description="days alerts, rules and traffic are kept")
    batch_rows: Positive = Field(50_000, description="rows of one insert at the most")
    batch_bytes: Positive = Field(16 * 1024 * 1024, description="bytes of rows that go out together")
    queue_bytes: Positive = Field(
        64 * 1024 * 1024, description="bytes of rows that may wait for the store; reading pauses beyond"
    )
    flush_ms: Positive = Field(1_000, description="rows wait at most this long for an insert")


class ServiceSettings(Section):
    host: str = Field("127.0.0.1", description="address of /healthz, /readyz and /metrics")
    port: int = Field(8088, ge=0, le=65_535, description="their port; 0 picks a free one")
    log_format: Literal["json", "text"] = Field("text", description="how logs are written")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    mask_numbers: bool = Field(True, description="hide the last four digits of numbers in logs")


class Settings(Section):
    kafka: KafkaSettings = KafkaSettings()
    ingest: IngestSettings = IngestSettings()
    numbering: NumberingSettings = NumberingSettings()
    detect: DetectSettings = DetectSettings()
    detectors: DetectorsSettings = DetectorsSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    candidates: CandidatesSettings = CandidatesSettings()
    profile: ProfileSettings = ProfileSettings()
    respond: RespondSettings = RespondSettings()
    campaigns: CampaignSettings = CampaignSettings()
    store: StoreSettings = StoreSettings()
    service: ServiceSettings = ServiceSettings()
