"""Pydantic's errors in plain words: one line for each place, with what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from probes.config.document import Document, Loc
from probes.config.models import SecretSource
from probes.errors import ConfigError

NO_SECRET_HERE = "a secret is never written here: write { env: VARIABLE } or { file: PATH }"  # noqa: S105 - a message
_IN_OTHER_WORDS = {
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
    "too_short": "must not be empty",
}


Model = TypeVar("Model", bound=BaseModel)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known word is near, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def raise_if_any(what: str, problems: Sequence[str]) -> None:
    """Raise ConfigError with the mistakes of `what`, such as `FILE has`, if there are any."""
    if problems:
        count = "one mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        raise ConfigError(f"{what} {count}:", tuple(problems))


def read_as(document: Document, model: type[Model]) -> tuple[Model | None, list[str]]:
    """A whole document as a model, None where it makes none, and all that is wrong with it."""
    mistakes = Mistakes(document)
    found: Model | None = None
    try:
        found = model.model_validate(document.data)
    except ValidationError as error:
        mistakes.add(error, model)
    return found, [*document.problems, *mistakes.lines()]


class Mistakes:
    """The mistakes of a document, gathered by place: what pydantic says of one place in several ways is one mistake."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[Loc, list[str]] = {}

    def add(self, error: ValidationError, model: type[BaseModel], prefix: Loc = ()) -> None:
        """Take what pydantic found in the part `prefix` of the document, as a `model`. No value gets into it."""
        for detail in error.errors(include_input=False, include_url=False):
            self._add_one(detail, model, prefix)

    def say(self, loc: Loc, message: str) -> None:
        """A mistake in our own words."""
        messages = self._found.setdefault(loc, [])
        if message not in messages:
            messages.append(message)

    def lines(self) -> list[str]:
        """One line for each place, from the file's top to its end."""
        in_order = sorted(self._found.items(), key=lambda found: self._document.line(found[0]))
        return [f"{self._document.where(loc)}: {' or '.join(said)}" for loc, said in in_order]

    def _add_one(self, detail: ErrorDetails, model: type[BaseModel], prefix: Loc) -> None:
        kind, inner = detail["type"], detail["loc"]
        loc = (*prefix, *inner)
        if kind == "extra_forbidden":
            owner = _model_at(model, inner[:-1])
            if owner and issubclass(owner, SecretSource):  # what stands there may be the secret itself
                self.say(loc[:-1], NO_SECRET_HERE)
            else:
                self.say(loc, f"unknown key{did_you_mean(str(inner[-1]), _keys(owner))}")
        elif kind == "too_short" and self._at(loc):
            pass  # what stands there is wrong, each said on its own, so that pydantic counts nothing
        elif kind == "missing":
            self.say(loc, "is missing")
        elif kind == "model_type" and issubclass(_model_at(model, inner) or BaseModel, SecretSource):
            self.say(loc, NO_SECRET_HERE)
        else:
            message = detail["msg"].removeprefix("Value error, ")
            plain = message.replace("Input should be", "must be", 1).removesuffix(
                ", unable to parse string as an integer"
            )
            self.say(self._written(loc), _IN_OTHER_WORDS.get(kind, plain[0].lower() + plain[1:]))

    def _at(self, loc: Loc) -> Any:
        data: Any = self._document.data
        for part in loc:
            data = data[part]
        return data

    def _written(self, loc: Loc) -> Loc:
        """The place without what pydantic adds to it, such as the type that it tried or `[key]`."""
        data: Any = self._document.data
        for depth, part in enumerate(loc):
            here = isinstance(data, dict) and part in data
            if not here and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
                return loc[:depth]
            data = data[part]
        return loc


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model that a place of the configuration is read as, followed along `loc`; None where that leads elsewhere."""
    found: type[BaseModel] | None = model
    for part in loc:
        field = next((f for n, f in found.model_fields.items() if part == (f.alias or n)), None) if found else None
        if field is not None:
            found = next(_models_in(field.annotation), None)
        # else: a name or number within a mapping or list of such models
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
