"""What keeps the shares of a ceiling apart: who owns which, and whether what he plans fits into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from probes.config.models import Settings
from probes.config.shares import ADHOC, Master, Share
from probes.config.units import show_duration
from probes.errors import ConfigError
from probes.safety.limits import RateLimit, share_slots

FEWER = "fewer attempts, longer intervals or fewer checks"
"""What helps wherever too many requests are planned."""


@dataclass(frozen=True, slots=True)
class OwnedShare:
    """A share with who draws on it, and for each limit how many requests in a window that allows."""

    owner: str
    share: str
    part: float
    own_address: bool
    room: Mapping[str, int]


def owned_shares(settings: Settings) -> tuple[OwnedShare, ...]:
    """Every share; one that no master owns is for what is run by hand or by a schedule."""
    owners = {master.share: f"master {_described(name, master)}" for name, master in settings.masters.items()}
    return tuple(
        OwnedShare(
            owners.get(name, "by hand" if name == ADHOC else "scheduled"),
            name,
            share.part,
            share.own_address,
            {
                limit.name: share_slots(limit, share.part_of(limit))
                for limit in settings.rate_limits
                if not limit.spaced
            },
        )
        for name, share in settings.shares.items()
    )


def share_problems(settings: Settings, share: str) -> Iterator[str]:
    """What is wrong with the shares themselves, with `share`, and with the masters that own some, one line each."""
    if share not in settings.shares:
        yield f"shares: there is no share {share!r}; one of {', '.join(settings.shares)}"
    if (total := sum(each.part for each in settings.shares.values())) > 1.0 + 1e-9:
        yield f"shares: add up to {100 * total:.0f}%; at most 100%"
    for name, master in settings.masters.items():
        yield from _owner_problems(settings, f"masters.{name}", master)
    for (one, its), (other, others) in combinations(settings.masters.items(), 2):
        if its.share == others.share and settings.ledger == "machine":
            yield (
                f"masters.{other}: owns the share {its.share!r}, and so does masters.{one}, but they have no ledger in "
                "common: give each a share of its own, or all one ledger (ledger: database)"
            )
        for region in sorted(set(its.regions) & set(others.regions)):
            yield f"masters.{other}: region {region!r} is that of masters.{one} already: each check would run twice"


def _owner_problems(settings: Settings, where: str, master: Master) -> Iterator[str]:
    if master.share == ADHOC:
        yield f"{where}: the share {ADHOC!r} is for what is run by hand: give the master one of its own"
    elif master.share not in settings.shares:
        yield f"{where}: there is no share {master.share!r}; one of {', '.join(settings.shares)}"
    for region in master.regions:
        if region not in settings.regions:
            known = ", ".join(settings.regions) or "regions: none is named there"
            yield f"{where}: {region!r} is not one of {known}"


def sources(settings: Settings, limit: RateLimit) -> int:
    """From how many regions together a limit is used all day: those that the target counts by address, one by one."""
    regions = sum(len(master.regions) for master in settings.masters.values())
    return 1 if limit.key == "ip" else max(1, regions)


def fit_problems(settings: Settings, needs: Mapping[RateLimit, int]) -> Iterator[str]:
    """Which masters need more than they own; `needs` has, for a limit, the worst window of one region all day."""
    for name, master in settings.masters.items():
        share = settings.shares.get(master.share)
        if share is None:
            continue  # which is a problem of its own
        for limit, one_region in needs.items():
            need = one_region * (1 if limit.key == "ip" else len(master.regions))
            room = share_slots(limit, share.part_of(limit))
            if not limit.spaced and need > room:
                yield (
                    f"masters.{name}: all checks at their intervals need up to {need} requests of limits.{limit.name} "
                    f"in {show_duration(limit.window_s)}, retries included; its share {master.share!r} has {room}: "
                    f"{FEWER}{more_room(master.share, share, limit)}"
                )


def more_room(name: str, share: Share, limit: RateLimit) -> str:
    """What helps besides `FEWER` where a share is too small; nothing where it is the whole ceiling already."""
    if share.part_of(limit) >= 1.0:
        return ""
    larger = f"; or a larger part in shares.{name}"
    if limit.key != "ip":
        return larger
    return f"{larger}, or own_address: true in it if nobody else sends from its address"


def share_of_master(settings: Settings, regions: Iterable[str], share: str) -> str:
    """The share that the master of these regions draws on. Raises ConfigError where that is nobody's, or another's."""
    served = tuple(regions)
    if not settings.masters:
        if settings.ledger == "machine" and len(settings.regions) > 1:
            raise ConfigError(
                "masters: none is named, so two of them might draw on one share without knowing of each other.",
                hint="Name each with its share and its regions, or give all one ledger (ledger: database).",
            )
        return share
    for master in settings.masters.values():
        if set(master.regions) == set(served):
            if share not in {ADHOC, master.share}:
                raise ConfigError(f"--share {share}: the master of {', '.join(served)} owns {master.share!r}.")
            return master.share
    known = ", ".join(_described(name, master) for name, master in settings.masters.items())
    raise ConfigError(f"--region {','.join(served)}: no master serves just that; under masters there are {known}.")


def _described(name: str, master: Master) -> str:
    return name if master.regions == (name,) else f"{name} ({', '.join(master.regions)})"


def share_of_worker(settings: Settings, region: str, share: str) -> str:
    """The share that a worker of a region is given permits of."""
    owners = (master.share for master in settings.masters.values() if region in master.regions)
    return next(owners, share)


def check_by_hand(settings: Settings, share: str) -> None:
    """Refuse what is not a master, and would draw on a master's share. Raises ConfigError."""
    owners = [name for name, master in settings.masters.items() if master.share == share]
    if owners and settings.ledger == "machine":
        raise ConfigError(
            f"--share {share}: it is owned by the master {owners[0]}, and has no other ledger than that one's.",
            hint=f"What is run by hand draws on the share {ADHOC}.",
        )
