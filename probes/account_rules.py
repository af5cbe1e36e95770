"""What keeps two runs off one test account: a ledger in common, an account of one's own, or turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from probes.checks.registry import AnyCheck, checks_of
from probes.config.load import Timetable
from probes.config.mistakes import did_you_mean
from probes.config.models import CLEANUP_S, Settings
from probes.config.shares import ADHOC
from probes.config.turns import CLOCK_S, Rota, Turn
from probes.config.units import show_duration
from probes.safety.ledger import HANDOVER_S
from probes.safety.limits import CLOCK_RATE


def permit_s(check: AnyCheck, settings: Settings, left_s: float) -> float:
    """How long a permit must last: the check's own time, and where requests wait for each other, all there is."""
    spaced = any(limit.spaced for limit in settings.rate_limits)
    return left_s if spaced else min(left_s, check.options.timeout + 0.5)


def hold_s(deadline_s: float) -> float:
    """How long a permit holds its account at most, clean-up and handing over included: as the ledger reckons it."""
    return (deadline_s + CLEANUP_S) * CLOCK_RATE + HANDOVER_S


@dataclass(frozen=True, slots=True)
class AccountUse:
    """A share may log in to an account for a check: in its `turn`, or where there is none, at any time."""

    check: str
    account: str
    share: str
    turn: Turn | None

    def meets(self, other: AccountUse) -> bool:
        """Whether the two may log in to one account at one time, as far as no ledger keeps them apart."""
        if self.account != other.account or self.share == other.share:
            return False
        return self.turn is None or other.turn is None or self.turn.meets(other.turn)


def uses_of(settings: Settings, checks: Mapping[str, AnyCheck], region: str) -> Iterator[AccountUse]:
    """Who may log in where, in a region: the share of its master, and those that no master owns."""
    owned = {master.share: master.regions for master in settings.masters.values()}
    here = [name for name in settings.shares if name not in owned or region in owned[name]]
    for check in checks.values():
        for share in here:
            turns = [turn for turn in check.rota.turns if turn.share == share]
            if check.rota.turns:
                yield from (AccountUse(check.name, turn.account, share, turn) for turn in turns)
            else:
                yield from (AccountUse(check.name, account, share, None) for account in check.rota.accounts)


def meeting_problems(settings: Settings, uses: Iterable[AccountUse]) -> Iterator[str]:
    """Which of these may log in to one account at one time. None may where one ledger lends the accounts to all.

    What is run by hand without a turn is left out: `by_hand` says what becomes of it.
    """
    if settings.ledger == "database":
        return
    judged = [use for use in dict.fromkeys(uses) if use.turn or use.share != ADHOC]
    told: set[tuple[str, frozenset[str]]] = set()
    for one, other in combinations(judged, 2):
        pair = (one.account, frozenset((one.share, other.share)))
        if pair in told or not one.meets(other):
            continue
        told.add(pair)
        shares = " and ".join(sorted((one.share, other.share)))
        where = " and ".join(dict.fromkeys(f"checks.{use.check}" for use in (one, other)))
        yield (
            f"{where}: {shares} may log in to {one.account} at one time, as they have no ledger in common: give each "
            "an account of its own, or turns, or all one ledger (ledger: database)"
        )


def meetings(timetable: Timetable, classes: Mapping[str, type[AnyCheck]]) -> list[str]:
    """The same over all regions and hours of a configuration."""
    uses: list[AccountUse] = []
    for region, settings in timetable.by_region():
        checks = checks_of(settings, classes).items()
        uses += uses_of(settings, {name: check for name, check in checks if check.options.enabled}, region)
    return list(meeting_problems(timetable.base, uses))


def rota_problems(settings: Settings, checks: Mapping[str, AnyCheck]) -> Iterator[str]:
    """What is wrong with the accounts of each check and their turns, one line each."""
    known = settings.credentials.accounts if settings.credentials else {}
    for name, check in checks.items():
        rota = check.rota
        where = f"checks.{name}.{'turns.accounts' if rota.turns else 'account'}"
        for account in rota.accounts:
            if account not in known:
                near = did_you_mean(account, known)
                yield f"{where}: there is no account {account!r} under credentials.accounts{near}"
        if rota.turns:
            yield from _turn_problems(settings, check, rota)


def _turn_problems(settings: Settings, check: AnyCheck, rota: Rota) -> Iterator[str]:
    where = f"checks.{check.name}.turns"
    held = hold_s(permit_s(check, settings, settings.run.checks_s))
    for turn in rota.turns:
        place = f"{where}.accounts.{turn.account}.{turn.share}"
        if turn.share not in settings.shares:
            near = did_you_mean(turn.share, settings.shares)
            yield f"{place}: there is no share {turn.share!r}; one of {', '.join(settings.shares)}{near}"
        elif turn.usable_s(held) < 0:
            yield (
                f"{place}: the turn lasts {show_duration(turn.ends - turn.begins)}; a login may need "
                f"{show_duration(held)}, and {show_duration(CLOCK_S)} at either end are kept for clocks that are wrong"
            )
    for name, master in settings.masters.items():
        turns = [turn for turn in rota.turns if turn.share == master.share]
        if not turns:
            yield f"{where}: masters.{name} has none, so it would never log in: give {master.share!r} a turn"
        elif not any(turn.alone for turn in turns) and all(turn.usable_s(held) >= 0 for turn in turns):
            yield from _interval_problems(f"{where}: masters.{name}", turns, held, settings.every(check.options))


def _interval_problems(who: str, turns: list[Turn], held: float, every: float) -> Iterator[str]:
    """A planned login waits for a turn until the next one is due: each must find one, and each turn be found."""
    ends = sorted({turn.begins + CLOCK_S + turn.usable_s(held) for turn in turns})
    apart = min(later - end for end, later in pairwise([*ends, ends[0] + turns[0].cycle]))
    longest = max(min(turn.wait_s(end + 1e-3, held) for turn in turns) for end in ends)
    if longest > every:
        yield (
            f"{who} may have to wait {show_duration(longest)} for its turn, but is to log in every "
            f"{show_duration(every)}: a longer interval (every), or a shorter cycle"
        )
    elif every > apart + 1e-6:
        yield (
            f"{who} logs in every {show_duration(every)}, but its turns are {show_duration(apart)} apart, so some "
            "account might never be used: a shorter interval (every), or a longer cycle"
        )


def by_hand(settings: Settings, rota: Rota) -> str:
    """What is to be known of logins by hand, beside what others log in to; nothing where there are no others."""
    if len(settings.shares) < 2 or settings.ledger == "database" or ADHOC not in settings.shares:
        return ""
    if rota.turns and not rota.of(ADHOC):
        return f"By hand nobody logs in: {ADHOC} has no turn, and its login is skipped."
    if rota.turns:
        return ""
    accounts = ", ".join(rota.accounts)
    return (
        f"By hand one logs in to {accounts} too: only on the machine, and with the state directory, of who else does, "
        "whose ledger lends it to one run at a time."
    )
