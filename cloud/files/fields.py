"""What the fields of a row may hold, read from its struct: for tables that are read, and for forms and help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import msgspec
from msgspec import inspect as types

FieldKind = Literal["text", "integer", "number", "flag", "choice", "other"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field as a form or a table of columns needs it. `default` is None where it is `required` or empty by itself."""

    name: str
    title: str
    text: str
    kind: FieldKind
    required: bool
    nullable: bool
    default: Any
    unit: str
    refers: str
    form: str
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    longest: int | None


@lru_cache(maxsize=64)
def fields_of(row: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of a row's struct, in its order."""
    info = cast(types.StructType, types.type_info(row))
    return tuple(_field(one) for one in info.fields)


def _field(field: types.Field) -> Field:
    schema: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    inner: types.Type = field.type
    options: list[types.Type] = []
    for one in _layers(inner):
        if isinstance(one, types.Metadata):
            schema = cast("dict[str, Any]", one.extra_json_schema or {}) | schema  # pyright: ignore
            extra = cast("dict[str, Any]", one.extra or {}) | extra  # pyright: ignore
        elif not isinstance(one, types.UnionType):
            options.append(one)
    inner = next((one for one in options if not isinstance(one, types.NoneType)), options[0])
    bounds = inner if isinstance(inner, types.IntType | types.FloatType) else None
    default = None if field.default is msgspec.NODEFAULT else field.default
    return Field(
        name=field.encode_name,
        title=str(schema.get("title") or field.encode_name),
        text=str(schema.get("description") or ""),
        kind=_kind(inner) if len([one for one in options if not isinstance(one, types.NoneType)]) == 1 else "other",
        required=field.required,
        nullable=any(isinstance(one, types.NoneType) for one in options),
        default=default,
        unit=str(extra.get("unit", "")),
        refers=str(extra.get("refers", "")),
        form=str(extra.get("form", "")),
        choices=tuple(str(value) for value in inner.values) if isinstance(inner, types.LiteralType) else (),
        least=None if bounds is None else bounds.ge,
        most=None if bounds is None else bounds.le,
        longest=inner.max_length if isinstance(inner, types.StrType) else None,
    )


def _layers(found: types.Type) -> Iterator[types.Type]:
    """A type and what it wraps, the outermost first."""
    yield found
    if isinstance(found, types.Metadata):
        yield from _layers(found.type)
    elif isinstance(found, types.UnionType):
        for one in found.types:
            yield from _layers(one)


def _kind(found: types.Type) -> FieldKind:
    if isinstance(found, types.LiteralType):
        return "choice"
    if isinstance(found, types.BoolType):
        return "flag"
    if isinstance(found, types.IntType):
        return "integer"
    if isinstance(found, types.FloatType):
        return "number"
    return "text" if isinstance(found, types.StrType) else "other"
