"""Decodes RO_ACCESS_REPORT at the speed of a portal.

Readers repeat one shape of TagReportData thousands of times. The first time a shape is seen the generic walker reads it
and a `Layout` is compiled: a Struct for the values, and a mask over the bytes that must be the same in every parameter
of that shape (types, lengths, vendors), so that one comparison of integers proves that the next one has it too. What
fits no layout goes to the walker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from struct import Struct
from typing import cast

from gateway.devices.rfid.errors import DamagedMessageError
from gateway.devices.rfid.framing import HEADER
from gateway.devices.rfid.parameters import CUSTOM_HEADER, TLV_HEADER, Found, fields, walk
from gateway.devices.rfid.standard import IMPINJ, IMPINJ_PEAK_RSSI, IMPINJ_PHASE, TV_FORMATS, Message, Parameter

#: One tag: EPC bytes, antenna, RSSI in dBm, channel index, first and last seen in the reader's microseconds, seen count,
#: then RSSI in centi-dBm, phase in 1/4096 of a turn and PC word where the reader offers them. None where the reader has
#: never said it. A bare tuple: it is made 10,000 times a second.
Tag = tuple[
    bytes, int | None, int | None, int | None, int | None, int | None, int | None, int | None, int | None, int | None
]  # fmt: skip
#: What the reader may leave out when it has not changed, in the order of `Tag`; the last stands for what is not carried.
Carried = tuple[int | None, int | None, int | None, int | None, int | None, int | None, None]

_NOTHING: Carried = (None, None, None, None, None, None, None)
#: Layouts kept for one length of TagReportData; a reader has one or two, a hostile stream as many as it likes.
MAX_LAYOUTS = 4
#: Lengths with layouts; above it the table starts anew.
MAX_LENGTHS = 256
#: ROSpecs with carried values; ours uses one.
MAX_ROSPECS = 16

_EPC_HEADER = Struct("!HHH")


@dataclass(frozen=True, slots=True)
class Layout:
    """One shape of TagReportData."""

    size: int
    unpack_from: Callable[[bytes, int], tuple[object, ...]]
    #: Which bits of the parameter, as one big-endian integer, are fixed, and what they are.
    mask: int
    fixed: int
    #: Takes a Tag out of the unpacked values followed by the carried ones.
    pick: Callable[[tuple[object, ...]], Tag]
    #: Every value that may be carried is present.
    complete: bool
    #: Place of the ROSpecID among the values, None where it is absent.
    rospec: int | None
    #: Times count from the reader's start instead of 1970; None where there are none.
    uptime: bool | None


class ReportDecoder:
    """Decodes one reader's reports in their order, carrying omitted values forward per ROSpec (LLRP 1.1, 14.2.3).

    Tags are collected in `tags` until `take`.
    """

    def __init__(self) -> None:
        self.tags: list[Tag] = []
        #: Times of the tags count from the reader's start.
        self.uptime = False
        self._layouts: dict[int, list[Layout]] = {}
        # The last tag of each ROSpec, whose values stand until the reader tells others.
        self._carried: dict[int, Tag] = {}
        self._rospec = 0
        self._last: Layout | None = None
        self._version = 0
        # The last layout with mask and fixed bits of a whole message that holds one such tag alone.
        self._single: tuple[Layout, int, int, int] | None = None

    def restart(self) -> None:
        """Forget carried values: the reader starts a new conversation."""
        self._carried.clear()
        self._rospec = 0

    def take(self) -> list[Tag]:
        """The tags since the last call."""
        tags, self.tags = self.tags, []
        return tags

    def shortcut(self, data: bytes, position: int, end: int) -> int:
        """Take whole messages off `data[position:end]` while they hold nothing but tags of the shape last seen.

        Returns the position behind them, which is `position` when the first is anything else.
        """
        if self._single is None:
            return position
        layout, mask, fixed, head = self._single
        size = layout.size
        while end - position >= HEADER.size + size:
            before = position
            position = self._run(data, position, end, layout, HEADER.size, mask, fixed)
            if position > before:
                continue
            kind, length, _ = HEADER.unpack_from(data, position)
            start, stop = position + HEADER.size, position + length
            if kind != head or stop > end or stop < start + size or (stop - start) % size or not layout.complete:
                break
            count = len(self.tags)
            if self._run(data, start, stop, layout, 0, layout.mask, layout.fixed) != stop:
                # A complete layout carries nothing, so the walker may read these tags again.
                del self.tags[count:]
                break
            position = stop
        return position

    def decode(self, body: bytes, version: int = 1) -> str | None:
        """Collect the tags of one message body; returns what was damaged in it, None when nothing was.

        Never raises: whatever can be read before and behind the damage is read.
        """
        damage: str | None = None
        position, end = 0, len(body)
        layout = self._last
        while position < end:
            before = position
            if layout is not None:
                position = self._run(body, position, end, layout, 0, layout.mask, layout.fixed)
            if position > before:
                continue
            try:
                layout = self._layout(body, position, end)
            except DamagedMessageError as error:
                damage = damage or str(error)
                layout = None
            if layout is None:
                position = _next(body, position, end)
        if layout is not None and (layout is not self._last or version != self._version):
            self._last, self._version = layout, version
            self._single = _framed(layout, version)
        return damage

    def _run(self, data: bytes, position: int, end: int, layout: Layout, header: int, mask: int, fixed: int) -> int:
        """The hot loop: tags of one layout, each behind `header` bytes, as long as they follow each other."""
        append, unpack_from, pick, from_bytes = self.tags.append, layout.unpack_from, layout.pick, int.from_bytes
        rospec, complete = layout.rospec, layout.complete
        stride = layout.size + header
        carried = _NOTHING if complete else self._carry()
        tag: Tag | None = None
        while end - position >= stride and from_bytes(data[position : position + stride], "big") & mask == fixed:
            values = unpack_from(data, position + header)
            if rospec is not None and values[rospec] != self._rospec:
                if tag is not None:
                    self._remember(tag)
                self._rospec = cast(int, values[rospec])
                carried = _NOTHING if complete else self._carry()
            tag = pick(values + carried)
            append(tag)
            position += stride
            if not complete:
                carried = (*tag[1:7], None)
        if tag is not None:
            self._remember(tag)
            if layout.uptime is not None:
                self.uptime = layout.uptime
        return position

    def _carry(self) -> Carried:
        tag = self._carried.get(self._rospec)
        return _NOTHING if tag is None else (*tag[1:7], None)

    def _remember(self, tag: Tag) -> None:
        if self._rospec not in self._carried and len(self._carried) >= MAX_ROSPECS:
            self._carried.clear()
        self._carried[self._rospec] = tag

    def _layout(self, body: bytes, position: int, end: int) -> Layout | None:
        """The layout of the parameter at `position`; None when it is no TagReportData."""
        found = next(walk(body, position, end))
        if found.type != Parameter.TAG_REPORT_DATA:
            return None
        size = found.end - position
        known = self._layouts.get(size)
        if known is None:
            if len(self._layouts) >= MAX_LENGTHS:
                self._layouts.clear()
            known = self._layouts[size] = []
        for layout in known:
            if int.from_bytes(body[position : found.end], "big") & layout.mask == layout.fixed:
                return layout
        layout = _compile(body, position, found.end)
        known.insert(0, layout)
        del known[MAX_LAYOUTS:]
        return layout


def _next(body: bytes, position: int, end: int) -> int:
    """Where to go on behind a parameter that was not read: its own end where that is believable, else the end of all."""
    if end - position < TLV_HEADER.size:
        return end
    length = TLV_HEADER.unpack_from(body, position)[1]
    following = position + length
    if length < TLV_HEADER.size or following + TLV_HEADER.size > end:
        return end
    kind, length = TLV_HEADER.unpack_from(body, following)
    believable = kind in (Parameter.TAG_REPORT_DATA, 242, Parameter.CUSTOM) and following + length <= end
    return following if believable else end


#: Parameter type -> name in a layout's table of places.
_PLACES = {
    Parameter.ANTENNA_ID: "antenna",
    Parameter.PEAK_RSSI: "rssi",
    Parameter.CHANNEL_INDEX: "channel",
    Parameter.TAG_SEEN_COUNT: "count",
    Parameter.ROSPEC_ID: "rospec",
    Parameter.C1G2_PC: "pc",
    Parameter.EPC_96: "epc",
    Parameter.FIRST_SEEN_UTC: "first",
    Parameter.LAST_SEEN_UTC: "last",
    Parameter.FIRST_SEEN_UPTIME: "first_uptime",
    Parameter.LAST_SEEN_UPTIME: "last_uptime",
}


def _framed(layout: Layout, version: int) -> tuple[Layout, int, int, int]:
    """A layout with mask and fixed bits for a whole message that holds one such tag (its id is free), and its head."""
    bits = 8 * layout.size
    mask = int.from_bytes(HEADER.pack(0xFFFF, 0xFFFFFFFF, 0), "big") << bits
    head = version << 10 | Message.RO_ACCESS_REPORT
    header = HEADER.pack(head, HEADER.size + layout.size, 0)
    return layout, mask | layout.mask, int.from_bytes(header, "big") << bits | layout.fixed, head


def _compile(body: bytes, start: int, end: int) -> Layout:
    """Compile the layout of one TagReportData. Raises DamagedMessageError when its inside is impossible or has no EPC."""
    pattern = [f"!{TLV_HEADER.size}x"]
    mask = bytearray(b"\xff" * TLV_HEADER.size)
    places: dict[str, int] = {}
    index = 0
    for found in walk(body, start + TLV_HEADER.size, end):
        part, name, fixed = _part(found, body)
        pattern.append(part)
        mask += b"\xff" * fixed + bytes(found.end - start - len(mask) - fixed)
        if name:
            places.setdefault(name, index)
            index += 1
    if "epc" not in places:
        raise DamagedMessageError(f"the tag report at byte {start} has no EPC")
    uptime = None
    if "first" in places or "last" in places:
        uptime = False
    elif "first_uptime" in places or "last_uptime" in places:
        uptime = True
        places["first"], places["last"] = places.get("first_uptime", -4), places.get("last_uptime", -3)
    # Places below zero reach into the carried values, which stand behind the unpacked ones.
    order = (places["epc"], places.get("antenna", -7), places.get("rssi", -6), places.get("channel", -5))
    order += (places.get("first", -4), places.get("last", -3), places.get("count", -2))
    extras = (places.get("fine_rssi", -1), places.get("phase", -1), places.get("pc", -1))
    struct = Struct("".join(pattern))
    bits = int.from_bytes(mask, "big")
    return Layout(
        size=struct.size,
        unpack_from=struct.unpack_from,
        mask=bits,
        fixed=int.from_bytes(body[start:end], "big") & bits,
        pick=cast("Callable[[tuple[object, ...]], Tag]", itemgetter(*order, *extras)),
        complete=all(place >= 0 for place in order),
        rospec=places.get("rospec"),
        uptime=uptime,
    )


def _part(found: Found, body: bytes) -> tuple[str, str | None, int]:
    """For one parameter: its piece of the pattern, the name of its value, and how many leading bytes are fixed."""
    if found.tv:
        name = _PLACES.get(cast(Parameter, found.type))
        size = found.end - found.start
        return ("x" + TV_FORMATS[found.type] if name else f"x{size}x"), name, 1
    size = found.end - found.start
    if found.type == Parameter.EPC_DATA:
        (epc,), stop = fields("b", body, found.start, found.end)
        return f"{_EPC_HEADER.size}x{len(cast(bytes, epc))}s{found.end - stop}x", "epc", _EPC_HEADER.size
    if found.type == Parameter.CUSTOM:
        if size < CUSTOM_HEADER.size:
            raise DamagedMessageError(f"the custom parameter at byte {found.start} has no vendor")
        vendor, subtype = CUSTOM_HEADER.unpack_from(body, found.start)
        header = TLV_HEADER.size + CUSTOM_HEADER.size
        if vendor == IMPINJ and size == CUSTOM_HEADER.size + 2 and subtype == IMPINJ_PEAK_RSSI:
            return f"{header}xh", "fine_rssi", header
        if vendor == IMPINJ and size == CUSTOM_HEADER.size + 2 and subtype == IMPINJ_PHASE:
            return f"{header}xH", "phase", header
        return f"{TLV_HEADER.size + size}x", None, header
    return f"{TLV_HEADER.size + size}x", None, TLV_HEADER.size
