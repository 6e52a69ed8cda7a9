"""The event clock goes on when events stop and never goes back."""

from __future__ import annotations

from streams.clock import EventClock


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_no_time_before_the_first_event() -> None:
    assert EventClock(Monotonic()).now() is None


def test_goes_on_in_silence() -> None:
    monotonic = Monotonic()
    clock = EventClock(monotonic)
    clock.observe(5_000)
    assert clock.now() == 5_000
    monotonic.seconds += 2.5
    assert clock.now() == 7_500


def test_an_older_event_does_not_turn_it_back() -> None:
    monotonic = Monotonic()
    clock = EventClock(monotonic)
    clock.observe(5_000)
    monotonic.seconds += 1
    clock.observe(5_500)
    assert clock.now() == 6_000


def test_a_newer_event_moves_it_on() -> None:
    clock = EventClock(Monotonic())
    clock.observe(5_000)
    clock.observe(9_000)
    assert clock.now() == 9_000
