"""Three regions in networks of their own, far from the target. Each one's master has its own share and ledger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.harness import ROOT, write_config
from tests.fleet.harness import QUICK, Fleet, Member
from tests.network.crossing import TARGET, Line, Place, crossing
from tests.network.far import FarStandIn
from tests.ports import free_port

EAST, WEST, EUROPE = "us-east-1", "us-west-2", "eu-west-1"
LINES = {EAST: Line(0.010, 0.005), WEST: Line(0.035, 0.01), EUROPE: Line(0.050, 0.01)}

HUNGRY: dict[str, Any] = {
    # a quarter of each ceiling for each region, and one for what is run by hand
    "shares": dict.fromkeys(("adhoc", *LINES), "25%"),
    "credentials": {"hosts": [f"{TARGET}:*"]},
    "checks": {
        "health": {"every": "3s", "timeout": "2s"},
        # of these more is planned than the shares have room for, so that it is the ledgers that hold them back
        "api": {"every": "2s", "timeout": "2s"},
        "enhancement": {"every": "1s", "timeout": "2s"},
    },
}
"""What all regions' configurations have in common."""

ACCOUNTS: dict[str, dict[str, Any]] = {
    EAST: {"account": None, "turns": {"accounts": {"basic": {EAST: "0m"}}}},
    WEST: {"account": None, "turns": {"accounts": {"premium": {WEST: "0m"}}}},
    EUROPE: {"enabled": False},
}
"""Of each region's log-in: no two regions share an account, as they share no ledger."""


@dataclass(kw_only=True)
class Region(Fleet):
    """A region's master and workers. All that is started or asked here is in the region's network."""

    name: str
    place: Place
    front: int = field(default_factory=free_port)
    manner: str = "honest"

    @property
    def record(self) -> Path:
        """Where the man in the middle writes down each permit that passes."""
        return self.folder / "permits.jsonl"

    @contextmanager
    def middle(self) -> Iterator[None]:
        """A man in the middle of this region's master and its workers."""
        line = [sys.executable, "-m", "tests.fleet.in_the_middle"]
        line += [str(self.front), str(self.port), str(self.record), self.manner]
        with self.place.namespace.entered():
            process = subprocess.Popen(line, cwd=ROOT, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def worker(
        self, name: str, *arguments: str, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> Member:
        """Start a worker, which finds the man in the middle where it looks for its master."""
        return super().worker(name, "--port", str(self.front), *arguments, env=env, prefix=prefix)

    def master(self, *arguments: str, env: Mapping[str, str] | None = None, new: bool = False) -> Member:
        """Start the region's master, on the region's share."""
        return super().master("--share", self.name, *arguments, env=env, new=new)

    def _start(
        self,
        command: str,
        name: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Member:
        own = {"NODE_REGION": self.name, **(env or {})}
        with self.place.namespace.entered():
            return super()._start(command, name, "--region", self.name, *arguments, env=own, prefix=prefix)

    def get(self, path: str) -> tuple[int, str]:
        """What the master's status port answers."""
        with self.place.namespace.entered():
            return super().get(path)

    def cell(self, check: str, region: str = "") -> dict[str, Any]:
        """What the master knows of a check here."""
        return super().cell(check, region or self.name)

    def verdicts(self, check: str) -> int:
        """How many verdicts of a check its board shows, of the last thirty runs."""
        return sum(run["outcome"] != "no data" for run in self.cell(check)["runs"])


@dataclass(frozen=True)
class World:
    """The target and the regions."""

    target: FarStandIn
    east: Region
    west: Region
    europe: Region

    @property
    def regions(self) -> tuple[Region, ...]:
        """All three."""
        return self.east, self.west, self.europe

    def story(self) -> str:
        """What a failed assertion should show."""
        return "\n".join(f"===== {region.name}\n{region.story()}" for region in self.regions)


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """The world, with nobody started in it yet but the target; it ends with the block."""
    with ExitStack() as ends:
        places = ends.enter_context(crossing(LINES))
        target = ends.enter_context(FarStandIn(places.target))
        regions = []
        for name, place in places.regions.items():
            own = folder / name
            own.mkdir()
            of_its_own = {
                "regions": [name],  # with all of them under `masters`, `validate` would refuse what is planned here
                "region_proofs": {name: {"env": "NODE_REGION"}},
                "checks": {"login": ACCOUNTS[name]},
            }
            config = write_config(own / "region.yaml", QUICK, HUNGRY, of_its_own)
            manner = "meddling" if name == EAST else "honest"
            region = Region(target, own, config, name=name, place=place, manner=manner)
            ends.enter_context(region.middle())
            ends.callback(region.kill)
            regions.append(region)
        yield World(target, *regions)
