"""The pure step of `profile`: summaries in, alerts of the trunk profile out.

A fold over the single partition of `summaries`: the same records in the same order give the same
alerts and the same state, so a restarted worker replays them instead of loading a snapshot.
"""

from __future__ import annotations

from config.settings import ProfileSettings, Settings
from detectors.alert import Alert
from detectors.profile import BITMAP_BITS, Sums, TrunkModel
from streams.wire.records import Summary, SummaryRow

LARGEST = 1 << 62


def epoch_seconds(settings: ProfileSettings) -> int:
    return settings.epoch_hours * 3_600


def lookback_ms(settings: Settings) -> int:
    """How far back (ms) `summaries` must be replayed so that the rebuilt state is exact.

    A model learns for one epoch and judges for the next, so nothing older than the start of the previous
    epoch matters; what may arrive late, and what still has to settle, comes on top.
    """
    profile = settings.profile
    return (2 * epoch_seconds(profile) + profile.settle_seconds) * 1000 + settings.detect.lateness_ms


class Profile:
    """State of the one instance that folds `summaries`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.profile
        self._epoch = epoch_seconds(self._settings)
        self._models: dict[int, TrunkModel] = {}
        self._open: dict[int, dict[str, Sums]] = {}
        self._folded: dict[int, int] = {}
        self._newest = -1
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

    def __call__(self, summary: Summary) -> list[Alert]:
        """Folds in ``summary`` unless its (partition, offset) already was; the alerts that are due.

        A row of a second that was judged already is counted in ``late``, one that contradicts itself in
        ``malformed``, one of a trunk beyond ``tracked_trunks`` in its second in ``crowded``; none of
        them reaches the model. Rows without a trunk name have nothing to be profiled.
        """
        if self._settings.mode == "off" or summary.offset <= self._folded.get(summary.partition, -1):
            return []
        self._folded[summary.partition] = summary.offset
        self.summaries += 1
        for row in summary.rows:
            self._add(row, summary.newest)
        self._newest = max(self._newest, summary.newest)
        return self._judge(self._newest // 1000 - self._settings.settle_seconds)

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
        trunks = self._open.setdefault(row.second, {})
        if row.trunk in trunks:
            trunks[row.trunk].add(sums)
        elif len(trunks) < self._settings.tracked_trunks:
            trunks[row.trunk] = sums
        else:
            self.crowded += 1

    def _judge(self, last: int) -> list[Alert]:
        if last <= self._judged:
            return []
        alerts: list[Alert] = []
        for second in sorted(s for s in self._open if s <= last):
            alerts += self._judge_second(second, self._open.pop(second))
        self._judged = last
        if self._models:
            alerts += self._judging().advance(last)
        return alerts

    def _judge_second(self, second: int, traffic: dict[str, Sums]) -> list[Alert]:
        alerts = self._turn_epoch(second // self._epoch)
        judging = self._judging()
        for model in self._models.values():
            found = model.judge(second, traffic)
            if model is judging:
                alerts += found
        return alerts

    def _judging(self) -> TrunkModel:
        return self._models[min(self._models)]

    def _turn_epoch(self, epoch: int) -> list[Alert]:
        """Starts a model for ``epoch``; one born before the previous epoch says its last and goes."""
        if epoch in self._models:
            return []
        alerts = self._judging().close() if self._models else []
        self._models = {born: model for born, model in self._models.items() if born >= epoch - 1}
        self._models[epoch] = TrunkModel(self._settings)
        return alerts


def sums_of(row: SummaryRow) -> Sums | None:
    """``row`` as sums; None where counts are negative or contradict each other, or the bitmap is not hex."""
    counts = (row.attempts, row.ends, row.answered, row.ring_ms, row.rings, row.talk_ms)
    if min(counts) < 0 or max(counts) > LARGEST or row.answered > row.ends or row.rings > row.ends:
        return None
    try:
        callees = int(row.callees, 16)
    except ValueError:
        return None
    if not 0 <= callees < 1 << BITMAP_BITS:
        return None
    networks = frozenset(n for n in (row.from_network, row.to_network) if n)
    return Sums(row.attempts, row.ends, row.answered, row.ring_ms, row.rings, row.talk_ms, callees, networks)
