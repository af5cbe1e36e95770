"""Which kinds of checks there are: our own, and those that a configuration's `extensions` bring."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from probes.checks.api import ApiCheck
from probes.checks.base import Check, CheckOptions
from probes.checks.enhancement import EnhancementCheck
from probes.checks.health import HealthCheck
from probes.checks.homepage import HomepageCheck
from probes.checks.http import HttpCheck
from probes.checks.login import LoginCheck
from probes.config.load import Source, Timetable, load
from probes.config.models import Settings
from probes.errors import ConfigError

AnyCheck = Check[Any]
BUILT_IN: tuple[type[AnyCheck], ...] = (
    HealthCheck,
    HomepageCheck,
    EnhancementCheck,
    LoginCheck,
    ApiCheck,
    HttpCheck,
)


def check_classes(extensions: tuple[Path, ...] = ()) -> dict[str, type[AnyCheck]]:
    """Every kind of check by its name. Raises ConfigError where an extension cannot be loaded or brings none."""
    classes: dict[str, type[AnyCheck]] = {cls.kind: cls for cls in BUILT_IN}
    for path in extensions:
        own = [cls for cls in vars(_load(path)).values() if _is_check(cls)]
        if not own:
            raise ConfigError(f"{path}: has no check: a subclass of probes.checks.base.Check with a kind.")
        classes.update({cls.kind: cls for cls in own})
    return classes


def kinds_for(extensions: tuple[Path, ...]) -> Mapping[str, type[CheckOptions]]:
    """The options of every kind, for loading a configuration."""
    return {kind: cls.Options for kind, cls in check_classes(extensions).items()}


def load_settings(source: Source) -> Settings:
    """Load a configuration with all kinds of checks, extensions included. Raises ConfigError."""
    return load(source, kinds_for)


def load_timetable(source: Source) -> Timetable:
    """The same for whoever runs all day."""
    return Timetable(source, kinds_for)


def build_checks(settings: Settings, source: Path) -> dict[str, AnyCheck]:
    """Every check of a configuration by its name, in its order."""
    return checks_of(settings, check_classes(tuple(source.parent / name for name in settings.extensions)))


def checks_of(settings: Settings, classes: Mapping[str, type[AnyCheck]]) -> dict[str, AnyCheck]:
    """The same where the classes of all kinds are there."""
    return {name: classes[options.kind](name, options, settings) for name, options in settings.checks.items()}


def _is_check(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Check) and bool(value.kind) and not inspect.isabstract(value)


def _load(path: Path) -> ModuleType:
    name = f"smokeprobe_extension_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"{path}: listed under extensions, but there is no such Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up by name
    try:
        spec.loader.exec_module(module)
    except Exception as problem:  # whatever a user's own module raises is that file's mistake, and is shown as one
        raise ConfigError(f"{path}: cannot be loaded: {type(problem).__name__}: {problem}") from problem
    return module
