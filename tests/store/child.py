"""A process of its own for the tests of the store: `python -m tests.store.child MODE PLACE [TEXT]`.

PLACE is a state directory or a URL. `hammer` writes for ever, and prints the id of each record once it is written;
`race` writes as many records as there are numbers up to TEXT, each under its number; `migrate-and-die` kills itself
when all steps of a migration are done and nothing is committed; the others try to write one where
that must fail, and print what happens.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from alembic import command

from probes.errors import StoreError
from probes.store.store import Store, open_store
from tests.safety.ledger_child import NOBODY
from tests.store.sample import TARGET, record


def store_at(place: str) -> Store:
    """The store that is meant."""
    return open_store(Path(), place, TARGET) if place.startswith("postgresql:") else open_store(Path(place), "", TARGET)


def hammer(store: Store) -> None:
    """Write until somebody ends it."""
    while True:
        written = [record() for _ in range(20)]
        store.add(written)
        for each in written:
            print(each.id, flush=True)  # noqa: T201 - read by the test


def try_once(store: Store) -> None:
    """Write one, or say why not."""
    try:
        store.add([record()])
    except StoreError as error:
        print(f"StoreError: {error}")  # noqa: T201 - read by the test
    else:
        print("written")  # noqa: T201 - read by the test


def main(mode: str, place: str, text: str = "") -> None:
    store = store_at(place)
    if mode == "hammer":
        hammer(store)
    elif mode == "race":
        for number in range(int(text)):
            store.add([record(id_=str(number))])
    elif mode == "other-user":
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try_once(store)
    elif mode == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(text), int(text)))
        try_once(store)
    elif mode == "migrate-and-die":
        real = command.upgrade

        def upgrade_and_die(*args: Any, **named: Any) -> None:
            real(*args, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        command.upgrade = upgrade_and_die
        try_once(store)
    else:
        raise ValueError(mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
