"""The pure step of `profile` for traffic: summaries in, alerts of trunks and network pairs out.

A fold over the single partition of `summaries`: the same records in the same order give the same
alerts and the same state, so a restarted worker replays them instead of loading a snapshot. What reaches back
weeks, the levels of each hour of the week, is told as a record when the hour is over, and given back to a
restarted worker before it replays.
"""

from __future__ import annotations

from config.settings import ProfileSettings, Settings
from detectors.alert import Alert, SubjectType
from detectors.profile import TrafficModel
from detectors.seasons import HOUR_SECONDS, HourLevels, Seasons
from detectors.traffic import FLOORS, Key, Sums, values
from streams.profile.folded import Folded
from streams.wire.summaries import Summary, SummaryRow

LARGEST = 1 << 62


def epoch_seconds(settings: ProfileSettings) -> int:
    return settings.epoch_hours * 3_600


def lookback_ms(settings: Settings) -> int:
    """How far back (ms) `summaries` must be replayed so that the rebuilt state is exact.

    A model learns for one epoch and judges for the next, so nothing older than the start of the previous
    epoch matters; what may arrive late, and what still has to settle, comes on top.
    """
    profile = settings.profile
    open_seconds = profile.settle_seconds + profile.patience_seconds
    return (2 * epoch_seconds(profile) + open_seconds) * 1000 + settings.detect.lateness_ms


class Profile:
    """State of the one instance that folds `summaries`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.profile
        self._epoch = epoch_seconds(self._settings)
        self._models: dict[int, TrafficModel] = {}
        self._open: dict[int, dict[SubjectType, dict[Key, Sums]]] = {}
        self._seasons = Seasons(2 * self._settings.tracked_trunks)
        self._hour = -1
        self._of_hour: dict[Key, Sums] = {}
        self.hours_over: list[HourLevels] = []
        """Levels of hours that ended, oldest first; whoever has kept them empties the list."""
        self._folded = Folded()
        self._told: dict[int, int] = {}
        """Newest event time, ms, that each partition of `frames` has told of."""
        self._judged = -1
        self.summaries = 0
        self.late = 0
        self.malformed = 0
        self.crowded = 0

    @property
    def trunks(self) -> int:
        """Trunks the judging model tracks."""
        return max((len(model) for model in self._models.values()), default=0)

    @property
    def evicted(self) -> int:
        return sum(model.evicted for model in self._models.values())

    @property
    def vectors(self) -> int:
        return sum(model.vectors for model in self._models.values())

    def restore(self, record: HourLevels) -> None:
        """Takes back what was in ``hours_over``, before the first summary."""
        self._seasons.restore(record)

    def __call__(self, *summaries: Summary) -> list[Alert]:
        """Folds in those whose (partition, offset) is new, all before any second is judged; the alerts due.

        A second is judged once every partition is ``settle_seconds`` past it; one that is further behind the
        others than ``patience_seconds`` is not waited for. A row of a second that was judged already is
        counted in ``late``, one that contradicts itself in ``malformed``, one of a trunk beyond
        ``tracked_trunks`` in its second in ``crowded``; none of them reaches the model. Rows without a trunk
        name have nothing to be profiled.
        """
        if self._settings.mode == "off":
            return []
        for summary in summaries:
            if self._folded.add(summary.partition, summary.offset):
                self._take_in(summary)
        return self._judge(self._all_told() // 1000 - self._settings.settle_seconds) if self._told else []

    def _take_in(self, summary: Summary) -> None:
        self.summaries += 1
        for row in summary.rows():
            self._add(row, summary.newest)
        self._told[summary.partition] = max(self._told.get(summary.partition, -1), summary.newest)

    def _all_told(self) -> int:
        """Event time, ms, up to which no partition that is waited for owes anything."""
        patient = max(self._told.values()) - 1000 * self._settings.patience_seconds
        return min(newest for newest in self._told.values() if newest >= patient)

    def _add(self, row: SummaryRow, newest: int) -> None:
        if row.trunk == "":
            return
        sums = sums_of(row)
        if sums is None or row.second > newest // 1000:
            self.malformed += 1
            return
        if row.second <= self._judged:
            self.late += 1
            return
        second = self._open.setdefault(row.second, {"trunk": {}, "network_pair": {}})
        keys: list[Key] = [("trunk", row.trunk)]
        if row.from_network and row.to_network:
            keys.append(("network_pair", f"{row.from_network}>{row.to_network}"))
        for key in keys:
            traffic = second[key[0]]
            if key in traffic:
                traffic[key].add(sums)
            elif len(traffic) < self._settings.tracked_trunks:
                traffic[key] = Sums()
                traffic[key].add(sums)
            else:
                self.crowded += 1

    def _judge(self, last: int) -> list[Alert]:
        if last <= self._judged:
            return []
        alerts: list[Alert] = []
        for second in sorted(s for s in self._open if s <= last):
            traffic = self._open.pop(second)
            alerts += self._judge_second(second, traffic["trunk"] | traffic["network_pair"])
        self._judged = last
        if self._models:
            alerts += self._judging().advance(last)
        return alerts

    def _judge_second(self, second: int, traffic: dict[Key, Sums]) -> list[Alert]:
        self._turn_hour(second // HOUR_SECONDS)
        for key, sums in traffic.items():
            if key in self._of_hour:
                self._of_hour[key].add(sums)
            elif len(self._of_hour) < 2 * self._settings.tracked_trunks:
                self._of_hour[key] = Sums()
                self._of_hour[key].add(sums)
        alerts = self._turn_epoch(second // self._epoch)
        judging = self._judging()
        for model in self._models.values():
            found = model.judge(second, traffic)
            if model is judging:
                alerts += found
        return alerts

    def _judging(self) -> TrafficModel:
        return self._models[min(self._models)]

    def _turn_hour(self, hour: int) -> None:
        """Learns the hour that is over. What of it was missed before the first summary counts as silence."""
        if hour == self._hour:
            return
        for key in sorted(self._of_hour):
            found = values(self._of_hour[key], HOUR_SECONDS, self._settings.min_calls)
            levels = {feature.name: value.level(feature) for feature, value in found.items()}
            record = self._seasons.learn(key, self._hour * HOUR_SECONDS, levels, FLOORS)
            if record is not None:
                self.hours_over.append(record)
        self._hour, self._of_hour = hour, {}

    def _turn_epoch(self, epoch: int) -> list[Alert]:
        """Starts a model for ``epoch``; one born before the previous epoch says its last and goes."""
        if epoch in self._models:
            return []
        alerts = self._judging().close() if self._models else []
        self._models = {born: model for born, model in self._models.items() if born >= epoch - 1}
        self._models[epoch] = TrafficModel(self._settings, self._seasons)
        return alerts


def sums_of(row: SummaryRow) -> Sums | None:
    """``row`` as sums; None where counts are negative or contradict each other."""
    causes = (row.failed, row.busy, row.invalid, row.refused, row.one_ring)
    counts = (row.attempts, row.ends, row.answered, row.ring_ms, row.rings, row.talk_ms, *causes)
    new = (row.new_ends, row.new_short, row.new_fruitless)
    if min(*counts, *new) < 0 or max(counts) > LARGEST or row.rings > row.ends:
        return None
    if not row.new_short + row.new_fruitless <= row.new_ends <= row.ends:
        return None
    if row.answered + sum(causes) > row.ends:
        return None
    networks = frozenset(n for n in (row.from_network, row.to_network) if n)
    return Sums(
        row.attempts,
        row.ends,
        row.answered,
        row.ring_ms,
        row.rings,
        row.talk_ms,
        row.callees,
        networks,
        frozenset([row.trunk]),
        *causes,
        *new,
        row.new_short_callees,
        row.new_fruitless_callees,
        row.new_short_call,
        row.new_fruitless_call,
    )
