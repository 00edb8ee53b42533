"""A document's progress is a function of the document and the movements that name its lines."""

from __future__ import annotations

import pytest

from vocabulary.document import Document, DocumentLine, fulfilments, progress
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account

ORDER = Document("SO-1", 1, "outbound-order", "open", (DocumentLine(1, "A", 10), DocumentLine(2, "B", 5)))


def moved(*lines: Line, document: str = "SO-1", number: int = 1, reverses: int | None = None) -> Movement:
    movement = Movement(
        "shipping", Account("bin"), Account("customer"), 1, lines, document=document, document_line=number
    )
    if reverses is None:
        return movement
    return Movement(
        "shipping", Account("customer"), Account("bin"), 1, lines, document=document, document_line=number,
        reverses=reverses,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("movements", "state", "done"),
    [
        ([], "waiting", [0, 0]),
        ([moved(Line("A", 4))], "partial", [4, 0]),
        ([moved(Line("A", 10), Line("B", 5, document_line=2))], "complete", [10, 5]),
        ([moved(Line("A", 11), Line("B", 5, document_line=2))], "over", [11, 5]),
        ([moved(Line("A", 4)), moved(Line("A", 4), reverses=1)], "waiting", [0, 0]),
        ([moved(Line("A", 4), document="SO-2")], "waiting", [0, 0]),
        ([moved(Line("C", 4, document_line=0))], "waiting", [0, 0]),
    ],
)
def test_progress(movements: list[Movement], state: str, done: list[int]) -> None:
    found = progress(ORDER, movements)
    assert (found.state, [line.done for line in found.lines]) == (state, done)


def test_what_names_no_document_fulfils_nothing() -> None:
    assert list(fulfilments(Movement("moving", Account("a"), Account("b"), 1, (Line("A", 1),)))) == []
    named = Movement("moving", Account("a"), Account("b"), 1, units=(UnitEntry("u"),), document="SO-1")
    assert list(fulfilments(named)) == []
