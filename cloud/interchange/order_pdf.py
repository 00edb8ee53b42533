"""A purchase order on paper: PDF, A4. A letter that no font has is shown as a box, and said so; nothing makes it fail."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from cloud.errors import BadInputError
from cloud.interchange.order_message import UNITS, OrderLine, OrderMessage

#: DejaVu Sans 2.37: Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew, Arabic and more; free to embed (DejaVu.LICENSE).
FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
#: Margins and the widths of a table's columns, mm: 180 in all.
MARGIN = 15
WIDTHS = (10, 30, 60, 26, 26, 28)
#: Stands for a letter that no font has.
BOX = "□"
#: Turns of the writing direction: a name must not turn what stands beside it.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Characters of one cell: longer names end in an ellipsis instead of filling pages.
MOST_CELL = 200
GREY = (90, 90, 90)
#: Lines of an order on paper at most: setting one takes about 20 ms.
MOST_LINES = 200


class _Paper(FPDF):
    """The page, with its number and the order's at its foot."""

    def __init__(self, title: str, font: str) -> None:
        super().__init__(format="A4")
        self.heading = title
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, 20)
        self.add_font("text", fname=FONT)
        self.set_font("text", size=10)
        if font:
            self.add_font("other", fname=font)
            self.set_fallback_fonts(["other"])
        self.set_text_shaping(True)
        self._letters = {code for name in self.fonts for code in getattr(self.fonts[name], "cmap", ())}
        #: whether a letter was shown as a box
        self.boxes = False

    def plain(self, text: str) -> str:
        """A text of letters that can be written; shortened where it is too long for any table."""
        written = "".join(self._letter(char) for char in text)
        return written if len(written) <= MOST_CELL else written[: MOST_CELL - 1] + "…"

    def _letter(self, char: str) -> str:
        if char == "\n" or (ord(char) in self._letters and char not in _TURNS):
            return char
        if unicodedata.category(char) in ("Cc", "Cf", "Mn", "Zs"):
            return " " if unicodedata.category(char) == "Zs" else ""
        self.boxes = True
        return BOX

    def footer(self) -> None:
        """Order and page, so that a sheet that got lost is found again."""
        self.set_y(-14)
        self.set_font("text", size=8)
        self.set_text_color(*GREY)
        self.cell(0, 6, f"{self.plain(self.heading)} · {self.page_no()}/{{nb}}", align="C")


def to_pdf(message: OrderMessage, font: str = "") -> bytes:
    """The order as a PDF; the same order gives the same bytes. `font`: a TrueType file for letters that DejaVu Sans lacks.

    Raises BadInputError for more than MOST_LINES lines. Long ones take seconds: call it beside the event loop.
    """
    if len(message.lines) > MOST_LINES:
        raise BadInputError(f"order {message.order} has {len(message.lines)} lines, too many for paper; take the CSV")
    paper = _Paper(f"Purchase order {message.order}, revision {message.revision}", font)
    title = paper.plain(f"Purchase order {message.order}, revision {message.revision}")
    paper.set_title(title)
    paper.set_creation_date(datetime.fromisoformat(message.placed_at))
    paper.add_page()
    paper.set_font("text", size=16)
    paper.cell(0, 9, paper.plain(f"Purchase order {message.order}"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    if message.state == "cancelled":
        paper.set_font("text", size=12)
        paper.set_text_color(170, 30, 20)
        paper.cell(0, 8, "CANCELLED: please deliver nothing for it.", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        paper.set_text_color(0, 0, 0)
    paper.ln(3)
    for name, value in _facts(message):
        _fact(paper, name, value)
    paper.ln(4)
    _table(paper, message)
    if message.total:
        paper.ln(2)
        paper.set_font("text", size=12)
        total = paper.plain(f"Total {message.total} {message.currency}")
        paper.cell(0, 8, total, align="R", new_y=YPos.NEXT, new_x=XPos.LMARGIN)
    paper.ln(6)
    if message.answer_to:
        _note(paper, f"Answer electronically: POST {message.answer_to}")
    if paper.boxes:
        _note(paper, f"Letters that this paper cannot show stand as {BOX}; the order as CSV or JSON has them.")
    return bytes(paper.output())


def _note(paper: _Paper, text: str) -> None:
    paper.set_font("text", size=8)
    paper.set_text_color(*GREY)
    paper.multi_cell(0, 4, paper.plain(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _facts(message: OrderMessage) -> list[tuple[str, str]]:
    site, supplier = message.site, message.supplier
    facts = [
        ("To", f"{supplier.name} ({supplier.id})" if supplier.name != supplier.id else supplier.id),
        ("Deliver to", f"{site.name} ({site.id})" if site.name != site.id else site.id),
        ("GLN", site.sgln),
        ("Deliver by", message.due_day),
        ("Your number", message.reference),
        ("Ordered", message.placed_at.replace("T", " ").replace("Z", " UTC")),
        ("Revision", str(message.revision)),
    ]
    return [(name, value) for name, value in facts if value]


def _fact(paper: _Paper, name: str, value: str) -> None:
    paper.set_font("text", size=9)
    paper.set_text_color(*GREY)
    paper.cell(28, 6, name)
    paper.set_text_color(0, 0, 0)
    paper.set_font("text", size=10)
    paper.multi_cell(0, 6, paper.plain(value), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _table(paper: _Paper, message: OrderMessage) -> None:
    paper.set_font("text", size=9)
    paper.set_draw_color(200, 205, 205)
    heading = FontFace(emphasis=None, color=GREY)
    with paper.table(
        col_widths=WIDTHS,
        text_align=("RIGHT", "LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT"),
        borders_layout="HORIZONTAL_LINES",
        headings_style=heading,
        line_height=5.5,
        padding=1,
    ) as table:
        table.row(("Line", "Item", "Name", "Quantity", "Price", "Amount"))
        for line in message.lines:
            table.row([paper.plain(cell) for cell in _cells(line)])


def _cells(line: OrderLine) -> tuple[str, ...]:
    unit = UNITS.get(line.unit, line.unit)
    name = f"{line.name}\nGTIN {line.gtin}" if line.gtin else line.name
    price = f"{line.unit_price} {line.currency}" if line.unit_price else ""
    amount = f"{line.amount} {line.currency}" if line.amount else ""
    return str(line.line), line.item, name, f"{line.quantity} {unit}", price, amount


def read_font(path: str) -> str:
    """`path` where it is a font that can be used. Raises ValueError with the reason."""
    if path:
        try:
            FPDF().add_font("other", fname=path)
        except Exception as error:
            raise ValueError(f"font: {path} cannot be used: {error}") from error
    return path
