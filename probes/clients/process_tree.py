"""Ends the browser's processes, all of them: Chromium has process groups of its own, and children that are orphaned."""

from __future__ import annotations

import contextlib
import time

import psutil

from probes.clients.child import MARK

_PASSES = 5


def kill_tree(root: int, mark: str, *, timeout_s: float = 0.5, spare_root: bool = False) -> None:
    """Kill process `root`, its descendants and all that carries the mark; return when they are gone or time is up.

    `spare_root`: not the process itself, only what it started.
    """
    family: dict[int, psutil.Process] = {}
    for _ in range(_PASSES):  # what is not yet suspended may start another while we look
        found = [process for process in _relatives(root, mark) if process.pid not in family]
        if spare_root:
            found = [process for process in found if process.pid != root]
        if not found:
            break
        for process in found:
            family[process.pid] = process
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
    for process in family.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    gone_by = time.monotonic() + timeout_s
    while any(map(_is_alive, family.values())) and time.monotonic() < gone_by:
        time.sleep(0.005)  # psutil's own waiting is not cooperative under gevent


def _relatives(root: int, mark: str) -> list[psutil.Process]:
    """The root and all that carries its mark, with all their descendants: renderers do not keep the mark."""
    everyone = list(psutil.process_iter())
    parents = {process: _parent_id(process) for process in everyone}
    family = {process for process in everyone if process.pid == root or _is_marked(process, mark)}
    while True:
        ids = {process.pid for process in family}
        children = {process for process, parent in parents.items() if parent in ids} - family
        if not children:
            return list(family)
        family |= children


def _parent_id(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone, or somebody else's and so not ours
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
