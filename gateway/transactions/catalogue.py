"""What headquarters told the site: items, packaging, places, documents and thresholds, ready to be looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import UNSET

from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.item import Item, PackagingLevel
from vocabulary.place import Place
from vocabulary.wire import Downlink, Thresholds

#: Due date of a document that names none: after all others, microseconds UTC.
NEVER = 2**53


class Expected(NamedTuple):
    """A unit that a document announces, and that document."""

    document: Document
    unit: ExpectedUnit


class Wanted(NamedTuple):
    """A line of an open document."""

    document: Document
    line: DocumentLine


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The downlink as look-up tables; a new downlink makes a new catalogue. `site` is the site's own id."""

    site: str = ""
    items: Mapping[str, Item] = field(default_factory=dict[str, Item])
    packaging: Mapping[str, PackagingLevel] = field(default_factory=dict[str, PackagingLevel])
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])
    documents: Mapping[str, Document] = field(default_factory=dict[str, Document])
    thresholds: Thresholds = field(default_factory=Thresholds)
    #: unit -> where it is announced, itself or as the container of an announced unit; open documents first
    expected: Mapping[str, tuple[Expected, ...]] = field(default_factory=dict[str, tuple[Expected, ...]])
    #: (document, container) -> the units announced inside it
    inside: Mapping[tuple[str, str], tuple[ExpectedUnit, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[ExpectedUnit, ...]]
    )
    #: documents that an open one refines: a purchase order behind a shipping notice
    refined: frozenset[str] = frozenset()
    #: item -> lines of open documents that want it, earliest due first
    wanted: Mapping[str, tuple[Wanted, ...]] = field(default_factory=dict[str, tuple[Wanted, ...]])

    @classmethod
    def from_downlink(cls, downlink: Downlink, site: str = "") -> Catalogue:
        """The catalogue of a whole downlink."""
        documents = {document.id: document for document in downlink.documents}
        expected, inside = expected_units(documents.values())
        return cls(
            site=site,
            items={item.id: item for item in downlink.items},
            packaging={level.gtin: level for level in downlink.packaging},
            places={place.id: place for place in downlink.places},
            documents=documents,
            thresholds=downlink.thresholds,
            expected=expected,
            inside=inside,
            refined=frozenset(
                document.source
                for document in downlink.documents
                if document.state == "open" and document.source is not UNSET
            ),
            wanted=wanted_lines(documents.values()),
        )

    def root_of(self, place: str) -> str:
        """The top of the tree that `place` stands in; `place` itself when it is not known."""
        seen: set[str] = set()
        while (known := self.places.get(place)) is not None and known.parent and place not in seen:
            seen.add(place)
            place = known.parent
        return place


def wanted_lines(documents: Iterable[Document]) -> dict[str, tuple[Wanted, ...]]:
    """The lines of open `documents` by item, earliest due first; equal due dates by document and line."""
    found: dict[str, list[Wanted]] = {}
    for document in documents:
        if document.state == "open":
            for line in document.lines:
                found.setdefault(line.item, []).append(Wanted(document, line))
    for lines in found.values():
        lines.sort(key=_by_due)
    return {item: tuple(lines) for item, lines in found.items()}


def _by_due(wanted: Wanted) -> tuple[int, str, int]:
    due = NEVER if wanted.document.due is UNSET else wanted.document.due
    return due, wanted.document.id, wanted.line.line


def expected_units(
    documents: Iterable[Document],
) -> tuple[dict[str, tuple[Expected, ...]], dict[tuple[str, str], tuple[ExpectedUnit, ...]]]:
    """Announced unit -> its announcements, open documents first; (document, container) -> what it holds in units."""
    expected: dict[str, list[Expected]] = {}
    inside: dict[tuple[str, str], list[ExpectedUnit]] = {}
    for document in sorted(documents, key=lambda document: (document.state != "open", document.id)):
        listed = {unit.unit: None for unit in document.units}
        for unit in document.units:
            expected.setdefault(unit.unit, []).append(Expected(document, unit))
            if unit.container is UNSET:
                continue
            inside.setdefault((document.id, unit.container), []).append(unit)
            if unit.container not in listed:
                listed[unit.container] = None
                expected.setdefault(unit.container, []).append(Expected(document, ExpectedUnit(unit.container)))
    return (
        {unit: tuple(found) for unit, found in expected.items()},
        {container: tuple(units) for container, units in inside.items()},
    )
