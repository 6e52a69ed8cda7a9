"""How the calls of each sort of legitimate caller go."""

from __future__ import annotations

import numpy as np

from streams.simulate.calls import Calls, Habit

#                        answer no-answer busy declined off failed wrong gives up
SOCIAL = Habit((0.61, 0.13, 0.08, 0.055, 0.06, 0.008, 0.004, 0.053), ring=7.0, talk=52.0, talk_spread=1.1)
BUSINESS = Habit((0.68, 0.12, 0.07, 0.03, 0.04, 0.008, 0.006, 0.046), ring=6.0, talk=70.0)
COURIER = Habit((0.80, 0.07, 0.03, 0.04, 0.03, 0.004, 0.002, 0.024), ring=6.0, talk=16.0, talk_spread=0.55)
CALL_CENTRE = Habit(
    (0.50, 0.17, 0.04, 0.11, 0.07, 0.004, 0.006, 0.10), 7.5, 42.0, give_up=22.0, caller_hangs_up=0.35
)
NOTIFICATION = Habit(
    (0.66, 0.13, 0.04, 0.07, 0.07, 0.004, 0.006, 0.02), 8.0, 11.0, talk_spread=0.35, caller_hangs_up=0.7
)
RECORDED = Habit(
    (0.80, 0.09, 0.04, 0.03, 0.03, 0.005, 0.0, 0.005), 7.0, 17.0, talk_spread=0.25, caller_hangs_up=0.75
)
SERVICE = Habit((0.93, 0.01, 0.02, 0.0, 0.0, 0.01, 0.0, 0.03), ring=2.0, talk=85.0, talk_spread=1.0)
VOTE = Habit(
    (0.90, 0.0, 0.08, 0.0, 0.0, 0.02, 0.0, 0.0), ring=0.7, talk=7.0, talk_spread=0.3, caller_hangs_up=0.8
)
ALARM = Habit((0.97, 0.005, 0.02, 0.0, 0.0, 0.005, 0.0, 0.0), ring=1.2, talk=4.0, talk_spread=0.3)
ABROAD = Habit((0.58, 0.16, 0.05, 0.05, 0.08, 0.02, 0.01, 0.05), ring=9.0, talk=95.0)

AGAIN = np.array([0.0, 0.2, 0.45, 0.06, 0.22, 0.6, 0.02, 0.12, 0.6])
BACK = np.array([0.10, 0.42, 0.25, 0.22, 0.30, 0.0, 0.0, 0.40, 0.0])
"""By outcome: how often a person tries again, and how often the other one calls back."""


def as_people_do(calls: Calls) -> Calls:
    """Sets the chances that the two try again and call back."""
    calls.again[:] = AGAIN[calls.outcome]
    calls.back[:] = BACK[calls.outcome]
    return calls
