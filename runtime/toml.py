"""Reading a TOML file into a frozen struct, with one clear sentence about what is wrong and on which line."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

T = TypeVar("T")

#: msgspec ends its messages with the place: " - at `$.cloud.sites[0].name`".
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?(?P<path>\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_NAME = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")
_TYPES = {"int": "a whole number", "float": "a number", "str": "text in quotes", "bool": "true or false",
          "array": "a list [...]", "object": "a table"}  # fmt: skip

Path_ = tuple[str | int, ...]


class ConfigError(Exception):
    """A configuration cannot be used; the text is one sentence naming file, line, field and remedy."""


def load(path: Path | str, kind: type[T]) -> T:
    """The file at `path` as a `kind` (a struct that forbids unknown fields). Raises ConfigError."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; write it or name another with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: the file cannot be read as UTF-8 text ({error}); check its rights and encoding"
        ) from None
    return parse(text, kind, str(path))


def parse(text: str, kind: type[T], name: str = "configuration") -> T:
    """The TOML `text` as a `kind`; `name` stands for the file in messages. Raises ConfigError."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = re.sub(r" \(at .*\)$", "", str(error))
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise ConfigError(f"{name}:{line}: this is not valid TOML: {fault}; correct that line") from None
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_sentence(text, kind, name, str(error))) from None


def line_of(text: str, path: Path_) -> int:
    """The line (from 1) that sets `path`, such as ("device", 0, "host"); else that of its nearest table; else 1."""
    best, best_length = 1, 0
    for line, found in _positions(text):
        length = 0
        while length < min(len(found), len(path)) and found[length] == path[length]:
            length += 1
        if length > best_length and length == min(len(found), len(path)):
            best, best_length = line, length
    return best


def _positions(text: str) -> list[tuple[int, Path_]]:
    """(line, path) of each header and key; a key that looks like one inside a multi-line string does no harm."""
    found: list[tuple[int, Path_]] = []
    counts: dict[Path_, int] = {}
    here: Path_ = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            here = _resolve(_names(header[2]), counts, header[1] == "[[")
            found.append((number, here))
        elif key := _KEY.match(line):
            found.append((number, here + tuple(_names(key[1]))))
    return found


def _resolve(names: list[str], counts: dict[Path_, int], appends: bool) -> Path_:
    path: Path_ = ()
    for index, name in enumerate(names):
        path = (*path, name)
        if appends and index == len(names) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _names(dotted: str) -> list[str]:
    return [first or second or third for first, second, third in _NAME.findall(dotted)]


def _sentence(text: str, kind: object, name: str, message: str) -> str:
    match = _PLACE.match(message)
    assert match is not None  # the pattern matches any text
    what = match["what"]
    path: Path_ = tuple(
        int(index) if index else field
        for field, index in _STEP.findall((match["path"] or "").partition("[...]")[0])  # a free table: its own line
    )
    shown = _shown(path)
    if unknown := _UNKNOWN.match(what):
        field = unknown[1]
        known = _fields(kind, path)
        close = get_close_matches(field, known, 1)
        remedy = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known) or 'nothing'}"
        return f"{name}:{line_of(text, (*path, field))}: {_shown((*path, field))} is not a known setting; {remedy}"
    if missing := _MISSING.match(what):
        return f"{name}:{line_of(text, path)}: {_shown((*path, missing[1]))} is missing; add it"
    line = line_of(text, path)
    expected = re.match(r"Expected `([^`]*)`, got `([^`]*)`", what)
    if expected:
        wanted = " or ".join(_TYPES.get(part.strip(), part.strip()) for part in expected[1].split("|"))
        return f"{name}:{line}: {shown} is not {wanted}; write {wanted}"
    if choice := re.match(r"Invalid enum value (.*)", what):
        choices = ", ".join(str(one) for one in _choices(kind, path))
        return f"{name}:{line}: {shown} = {choice[1]} is not allowed; choose one of: {choices}"
    return f"{name}:{line}: {shown}: {what[:1].lower() + what[1:]}"


def _shown(path: Path_) -> str:
    shown = ""
    for step in path:
        shown += f"[{step + 1}]" if isinstance(step, int) else ("." if shown else "") + step
    return shown or "the file"


def _type_at(kind: object, path: Path_) -> list[object]:
    """The types that may stand at `path`: a union has several."""
    kinds = _flat(kind)
    for step in path:
        below: list[object] = []
        for one in kinds:
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                below += [
                    part
                    for field in msgspec.structs.fields(one)
                    if field.encode_name == step
                    for part in _flat(field.type)
                ]
            elif isinstance(step, int) or get_args(one):
                below += [part for argument in get_args(one)[-2:] if argument is not ... for part in _flat(argument)]
        kinds = below
    return kinds


def _flat(kind: object) -> list[object]:
    """A union's parts; the type itself otherwise."""
    if isinstance(kind, type) or not get_args(kind) or getattr(kind, "__origin__", None) is not None:
        return [kind] if "Union" not in str(getattr(kind, "__origin__", "")) else list(get_args(kind))
    return [part for argument in get_args(kind) for part in _flat(argument)]


def _fields(kind: object, path: Path_) -> list[str]:
    return [
        field.encode_name
        for one in _type_at(kind, path)
        if isinstance(one, type) and issubclass(one, msgspec.Struct)
        for field in msgspec.structs.fields(one)
    ]


def _choices(kind: object, path: Path_) -> list[object]:
    return [choice for one in _type_at(kind, path) for choice in get_args(one)]
