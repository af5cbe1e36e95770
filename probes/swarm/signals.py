"""Signals that end a run, from its first moment on: until the run can heed them, they are remembered."""

from __future__ import annotations

import signal
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Memory:
    """A handler that only remembers the first signal: what is half imported cannot write a report."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Remember."""
        self.number = self.number or number


def remember() -> None:
    """Remember signals that would end this process at once. A second call changes nothing."""
    memory = Memory()
    for number in ENDING:
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, memory)


def forget() -> None:
    """Let signals end this process at once again: it has begun nothing that it would have to see to its end."""
    for number in ENDING:
        if isinstance(signal.getsignal(number), Memory):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def remembered() -> int:
    """The signal that has come since `remember`; 0 if none."""
    handlers = (signal.getsignal(number) for number in ENDING)
    return next((each.number for each in handlers if isinstance(each, Memory) and each.number), 0)


def stopping_signals() -> tuple[signal.Signals, ...]:
    """The signals to heed: under `nohup`, a hang-up goes on being ignored."""
    return tuple(each for each in ENDING if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN)
