"""Who is who among the legitimate numbers, and what lists say of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

import numpy as np

from detectors.alert import content_id
from streams.simulate.awkward import GROUPS, Roamers
from streams.simulate.calls import Ints
from streams.simulate.numbers import NETWORKS, spell
from streams.simulate.population import Organisation
from streams.simulate.world import World
from streams.wire.records import ListEntry


class Directory:
    def __init__(self, world: World) -> None:
        self._world = world
        self._groups = [group(world) for group in GROUPS]
        population, people = world.population, world.population.people
        moved = people.network != people.allotted
        moved[population.rerouted] = False
        self._ported = [(people.number[moved], people.network[moved]), *(g.ported for g in self._groups)]
        self.numbers: dict[str, Ints] = {
            "alarm_centre": population.alarm_centre.numbers,
            "alarm_line": people.number[population.alarm_lines],
            "call_centre": population.call_centres.numbers,
            "company": population.companies.numbers,
            "courier": people.number[population.couriers],
            "notifier": population.notifiers.numbers,
            "ported": np.concatenate([numbers for numbers, _ in self._ported]),
            "service": population.services.numbers,
            "virtual_operator": people.number[population.rerouted],
            "vote": np.array([population.vote]),
            **{group.name: group.numbers for group in self._groups},
        }
        for group in self._groups:
            if isinstance(group, Roamers):
                self.numbers["silent_roamer"] = group.unconfirmed
        """Numbers that call or are called more than people's, or otherwise than those, by what they are."""

    @cached_property
    def taken(self) -> Ints:
        """Every number that makes legitimate calls, ascending."""
        population = self._world.population
        everybody = [population.people.number, *population.foreigners, *self.numbers.values()]
        return np.unique(np.concatenate(everybody))

    def spelled(self) -> dict[str, list[str]]:
        """The same as a person reads them, by role."""
        ordered = sorted(self.numbers.items())
        return {role: [spell(n) for n in np.unique(numbers).tolist()] for role, numbers in ordered}

    def lists(self) -> Iterator[ListEntry]:
        """Refusals of advertising calls and consents to them, ported numbers, companies that call many."""
        yield from self._refusals()
        for numbers, networks in self._ported:
            for number, network in zip(numbers.tolist(), networks.tolist(), strict=True):
                yield _portability(number, NETWORKS[network])
        listed: set[int] = set()
        for organisation in self._organisations():
            yield from companies(organisation, listed)
            listed.update(organisation.numbers.tolist())

    def _organisations(self) -> Iterator[Organisation]:
        """Those that are registered for a category of calls."""
        population = self._world.population
        for roster in (population.call_centres, population.notifiers, population.services):
            yield from roster.organisations
        for group in self._groups:
            for i, number in enumerate(group.numbers.tolist() if group.category else ()):
                name = f"{group.name.replace('_', ' ')} {i + 1}"
                yield Organisation(name, np.array([number]), 0, 1.0, group.category)

    def _refusals(self) -> Iterator[ListEntry]:
        consents, people = self._world.consents, self._world.population.people
        centres = self._world.population.call_centres.organisations
        for number in people.number[consents.refuses].tolist():
            yield refusal(number)
        for person in np.flatnonzero(consents.refused >= 0).tolist():
            yield refusal(int(people.number[person]), centres[consents.refused[person]].name)
        for person in np.flatnonzero(consents.agreed >= 0).tolist():
            number, caller = spell(int(people.number[person])), centres[consents.agreed[person]].name
            yield ListEntry(
                content_id(["consent", "number", number, caller]),
                list="consent",
                type="number",
                value=number,
                owner="the subscriber",
                reason="agreed to advertising calls",
                caller=caller,
            )


def refusal(number: int, company: str = "") -> ListEntry:
    """The subscriber wants no advertising calls, from ``company`` or (empty) from anybody."""
    value = spell(number)
    key = ["refusal", "number", value, company] if company else ["refusal", "number", value]
    return ListEntry(
        content_id(key),
        list="refusal",
        type="number",
        value=value,
        owner="the subscriber",
        reason=f"no more calls from {company}" if company else "no advertising calls",
        caller=company,
    )


def companies(organisation: Organisation, but: Collection[int] = ()) -> Iterator[ListEntry]:
    """That its numbers, ``but`` for some, are those of ``organisation``, and what it calls people for."""
    for number in (spell(n) for n in organisation.numbers.tolist() if n not in but):
        yield ListEntry(
            content_id(["company", "number", number]),
            list="company",
            type="number",
            value=number,
            owner=organisation.name,
            reason=f"registered for {organisation.category} calls",
            category=organisation.category,
        )


def _portability(number: int, network: str) -> ListEntry:
    value = spell(number)
    return ListEntry(
        content_id(["portability", "number", value]),
        list="portability",
        type="number",
        value=value,
        owner=network,
        reason="ported",
    )
