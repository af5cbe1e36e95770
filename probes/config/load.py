"""From a file to `Settings`: find it, read it, lay overrides over it, and report every mistake at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from probes.config.document import Document, read_document
from probes.config.mistakes import Mistakes, did_you_mean, raise_if_any
from probes.config.models import CheckOptions, Override, Settings, target_problem
from probes.config.units import shown
from probes.errors import ConfigError

Kinds = Mapping[str, type[CheckOptions]]
KindsFor = Callable[[tuple[Path, ...]], Kinds]
OF_ALL_ENVIRONMENTS = frozenset({"alert-rules", "channels", "cron-schedule", "maintenance", "monitoring-integration"})
"""Files that stand beside those of the environments, and are none."""

_A_DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """Which configuration, for which region and moment. `target_url` takes the place of the file's."""

    path: Path
    region: str = "local"
    target_url: str = ""


def shipped(folder: str) -> Path:
    """A folder of the project that travels with it: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / folder
    return beside if (package.parent / "pyproject.toml").exists() else package / "_data" / folder


def config_path(env: str, config: str) -> Path:
    """The file for `--config FILE`, or else for `--env NAME`: `config/NAME.yaml` here, or as shipped.

    Raises ConfigError where there is no such environment.
    """
    if config:
        return Path(config)
    here, travelling = Path("config") / f"{env}.yaml", shipped("config") / f"{env}.yaml"
    if env not in OF_ALL_ENVIRONMENTS and (here.exists() or travelling.exists()):
        return here if here.exists() else travelling
    raise ConfigError(f"There is no environment {env!r}: no {here} here, and shipped are {', '.join(environments())}.")


def environments() -> list[str]:
    """The environments that travel with the project."""
    return sorted(file.stem for file in shipped("config").glob("*.yaml") if file.stem not in OF_ALL_ENVIRONMENTS)


class Timetable:
    """A configuration as it holds in one region, whatever the hour: read once, so that nothing changes meanwhile."""

    def __init__(self, source: Source, kinds_for: KindsFor) -> None:
        """Raises ConfigError with every mistake, each with file, line, path and what would be right."""
        self._document, self._kinds = _read(source, kinds_for)
        self._base = _without_mistakes(self._document, self._kinds)
        self._region = source.region
        self._laid: dict[tuple[int, ...], Settings] = {(): self._base}

    @property
    def base(self) -> Settings:
        """The settings without any override."""
        return self._base

    def at(self, moment: dt.datetime) -> Settings:
        """The settings at a moment: the same object as long as no override begins or ends."""
        overrides = enumerate(self._base.overrides)
        return self._with(tuple(n for n, override in overrides if applies(override, self._region, moment)))

    def all_day(self) -> Iterator[tuple[str, Settings]]:
        """Every settings that can hold in this region, each with the names of its overrides."""
        for numbers in holding_together(self._base, (self._region,)):
            yield _names(numbers), self._with(numbers)

    def everywhere(self) -> Iterator[tuple[str, Settings]]:
        """The same without overrides, and in all regions: for a plan's worst case."""
        yield "", self._base
        for numbers in holding_together(self._base):
            if numbers:
                yield _names(numbers), self._with(numbers)

    def _with(self, numbers: tuple[int, ...]) -> Settings:
        """The settings with these overrides. Raises ConfigError where they contradict each other."""
        if numbers not in self._laid:
            self._laid[numbers] = _with_overrides(self._document, self._kinds, self._base, numbers)
        return self._laid[numbers]


def load(source: Source, kinds_for: KindsFor, now: dt.datetime | None = None) -> Settings:
    """Load and validate a configuration as it holds in a region now. Raises ConfigError with every mistake."""
    return Timetable(source, kinds_for).at(now or dt.datetime.now(dt.UTC))


def _read(source: Source, kinds_for: KindsFor) -> tuple[Document, Kinds]:
    document = read_document(source.path)
    if source.target_url:
        if problem := target_problem(source.target_url):
            raise ConfigError(f"--target-url: {problem}.")
        target = document.data.get("target")
        document.data["target"] = {**(target if isinstance(target, dict) else {}), "url": source.target_url}
    listed = document.data.get("extensions", ())
    files = listed if isinstance(listed, list) else []
    return document, kinds_for(tuple(source.path.parent / str(name) for name in files))


def _without_mistakes(document: Document, kinds: Kinds) -> Settings:
    """The settings without overrides. Raises ConfigError with all mistakes of the file and of every override."""
    settings, found = _build(document, kinds)
    problems = [*document.problems, *found]
    for number, override in _overrides(document):
        problems += _override_problems(document, number, override)
        laid = [line for line in _build(_overlay(document, number, override), kinds)[1] if line not in found]
        problems += [f"{line} (with {_names((number,))})" for line in laid]
    raise_if_any(f"{document.source} has", problems)
    assert settings is not None  # noqa: S101 - _build says what is wrong where there are none
    return settings


def _with_overrides(document: Document, kinds: Kinds, base: Settings, numbers: tuple[int, ...]) -> Settings:
    """The settings with these overrides, one over the other. Raises ConfigError where they contradict each other."""
    laid = document
    for number in numbers:
        laid = _overlay(laid, number, base.overrides[number])
    settings, problems = _build(laid, kinds)
    raise_if_any(f"{document.source} has", [f"{line} (with {_names(numbers)})" for line in problems])
    assert settings is not None  # noqa: S101 - _build says what is wrong where there are none
    return settings


def _names(numbers: tuple[int, ...]) -> str:
    return " and ".join(f"overrides.{number}" for number in numbers)


def _overrides(document: Document) -> Iterator[tuple[int, Override]]:
    """The overrides that can be read, whatever else is wrong with the file."""
    raw = document.data.get("overrides")
    for number, item in enumerate(raw if isinstance(raw, list) else ()):
        try:
            yield number, Override.model_validate(item)
        except ValidationError:
            continue  # reported as a part of the whole


def _build(document: Document, kinds: Kinds) -> tuple[Settings | None, list[str]]:
    """Settings with their checks' options, or None and every mistake."""
    mistakes = Mistakes(document)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document.data)
    except ValidationError as error:
        mistakes.add(error, Settings)
    raw_checks = document.data.get("checks")
    checks: dict[str, CheckOptions] = {}
    for name, raw in raw_checks.items() if isinstance(raw_checks, dict) else ():
        if not isinstance(raw, dict):
            mistakes.say(("checks", name), "a check is a mapping of its options")
            continue
        kind = str(raw.get("kind", name))
        if kind not in kinds:
            near = did_you_mean(kind, kinds)
            known = ", ".join(sorted(kinds))
            mistakes.say(("checks", name, "kind"), f"no check of the kind {shown(kind)}: one of {known}{near}")
            continue
        try:
            checks[name] = kinds[kind].model_validate({**raw, "kind": kind})
        except ValidationError as error:
            mistakes.add(error, kinds[kind], ("checks", name))
    problems = mistakes.lines()
    return (settings.model_copy(update={"checks": checks}) if settings and not problems else None), problems


def _override_problems(document: Document, number: int, override: Override) -> Iterator[str]:
    try:
        ZoneInfo(override.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        where = document.where(("overrides", number, "timezone"))
        yield f"{where}: {shown(override.timezone)} is not a time zone: write Europe/Berlin or UTC"
    regions = document.data.get("regions")
    known = [*regions, "local"] if isinstance(regions, list) and regions else []
    for index, region in enumerate(override.regions):
        if known and region not in known:
            where = document.where(("overrides", number, "regions", index))
            near = did_you_mean(region, [str(name) for name in known])
            yield f"{where}: {shown(region)} is not among regions{near}"


def applies(override: Override, region: str, moment: dt.datetime) -> bool:
    """Whether an override holds in a region at a moment; a span may go past midnight."""
    return _holds_in(override, region) and _holds_at(override, moment)


def _holds_in(override: Override, region: str) -> bool:
    return not override.regions or region in override.regions


def _holds_at(override: Override, moment: dt.datetime) -> bool:
    if not override.between:
        return True
    begin, end = (dt.time.fromisoformat(part) for part in override.between.split("-"))
    time = moment.astimezone(ZoneInfo(override.timezone)).time()
    return begin <= time < end if begin <= end else (time >= begin or time < end)


def holding_together(settings: Settings, regions: Iterable[str] = ()) -> Iterator[tuple[int, ...]]:
    """Every set of overrides that can hold at one moment in one of these regions (in any, if none), by their numbers.

    Which hold changes only where one begins or ends, and with daylight saving: so those times are tried, twice a
    month for a year.
    """
    overrides = settings.overrides
    moments = [_A_DAY] + [
        dt.datetime.combine(_A_DAY.replace(month=month, day=day), dt.time.fromisoformat(time), ZoneInfo(zone))
        for zone, times in sorted({(o.timezone, o.between) for o in overrides if o.between})
        for time in times.split("-")
        for month in range(1, 13)
        for day in (1, 15)
    ]
    at_times = {tuple(n for n, o in enumerate(overrides) if _holds_at(o, moment)) for moment in moments}
    anywhere = {"", *settings.regions, *(region for override in overrides for region in override.regions)}
    tried = tuple(regions) or sorted(anywhere)
    yield from sorted(
        {tuple(n for n in numbers if _holds_in(overrides[n], region)) for numbers in at_times for region in tried}
    )


def _overlay(document: Document, number: int, override: Override) -> Document:
    """The file with the `checks` and `limits` of an override laid over it, key by key."""
    laid = document
    for part, over in (("checks", override.checks), ("limits", override.limits)):
        if over:
            base = laid.data.get(part)
            merged = _merged(base if isinstance(base, dict) else {}, over)
            laid = laid.laid_over(("overrides", number), {**laid.data, part: merged})
    return laid


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(value, Mapping) and isinstance(below, dict) else value
    return merged
