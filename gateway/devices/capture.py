"""Keeps the raw bytes of a device in a file, and plays them back through the driver's own decoder.

The file: `MAGIC`, a 32-bit length and that many bytes of JSON (`CaptureHeader`), then records: kind (1 byte, `Moment`),
wall clock and monotonic microseconds (8 bytes each), a 32-bit length and that many bytes. All numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple

import msgspec

from gateway.devices.driver import Deliver, Driver, Moment
from gateway.devices.registry import DeviceConfig, kind_of, open_decoder
from gateway.errors import GatewayError
from gateway.observations.sighting import Sighting

#: Name and version of the format.
MAGIC = b"EVERCAP\x01"
#: Bytes; a forgotten capture must not fill the disk: some eight hours of one busy reader.
MAX_BYTES = 2 * 1024**3
#: Bytes; no driver receives more at once, a longer record is damage.
MAX_RECORD = 16 * 1024**2

_MOMENTS = frozenset(int(moment) for moment in Moment)
_LENGTH = Struct("!I")
_RECORD = Struct("!BQQI")


class CaptureHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which device the bytes came from; `config` is its whole configuration, so that a capture stands alone."""

    device: str
    kind: str
    config: msgspec.Raw


class Record(NamedTuple):
    """One moment of a connection; times in microseconds."""

    moment: Moment
    wall: int
    monotonic: int
    data: bytes


class Replayed(NamedTuple):
    """The sightings of one received chunk and when it arrived; times in microseconds."""

    wall: int
    monotonic: int
    sightings: list[Sighting]


class CaptureWriter:
    """Appends moments to a capture file. `refused` counts bytes that came after the file was full."""

    def __init__(self, path: Path, config: DeviceConfig, limit: int = MAX_BYTES) -> None:
        """Create the file. Raises GatewayError when it exists or cannot be written."""
        header = CaptureHeader(config.name, kind_of(config), msgspec.Raw(msgspec.json.encode(config)))
        encoded = msgspec.json.encode(header)
        try:
            self._file: BinaryIO = path.open("xb")
        except FileExistsError:
            raise GatewayError(f"{path} exists already; give a new file name") from None
        except OSError as error:
            raise GatewayError(f"{path} cannot be written: {error.strerror}") from None
        self._file.write(MAGIC + _LENGTH.pack(len(encoded)) + encoded)
        self._left = limit
        self.received = 0
        self.refused = 0

    def write(self, moment: Moment, data: bytes, wall: int, monotonic: int) -> None:
        """Append one moment; a driver's `tap`."""
        self._left -= _RECORD.size + len(data)
        if self._left < 0:
            self.refused += len(data)
            return
        self._file.write(_RECORD.pack(moment, wall, monotonic, len(data)) + data)
        self.received += len(data)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


async def capture(driver: Driver, config: DeviceConfig, path: Path, deliver: Deliver | None = None) -> None:
    """Run a driver until cancelled and keep every byte it receives in `path`; also deliver, where somebody listens.

    Raises GatewayError when the file cannot be written.
    """
    writer = CaptureWriter(path, config)
    driver.tap = writer.write
    try:
        await driver.run(deliver or (lambda sightings: None))
    finally:
        driver.tap = None
        writer.close()


def read_header(path: Path) -> CaptureHeader:
    """Which device a capture came from. Raises GatewayError when the file is no capture."""
    with _open(path) as file:
        return _header(path, file)


def records(path: Path) -> Iterator[Record]:
    """The moments of a capture in order. Raises GatewayError at what is no record; a cut-off last one is left out."""
    with _open(path) as file:
        _header(path, file)
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            kind, wall, monotonic, length = _RECORD.unpack(head)
            if kind not in _MOMENTS or length > MAX_RECORD:
                raise GatewayError(f"{path} is damaged before byte {file.tell()}; what came before was read")
            data = file.read(length)
            if len(data) < length:
                return
            yield Record(Moment(kind), wall, monotonic, data)


def replay(path: Path) -> Iterator[Replayed]:
    """What the driver would have delivered at those moments: a pure function of the file.

    Raises GatewayError when the file is no capture or of a device that this version does not know.
    """
    header = read_header(path)
    decoder = open_decoder(header.kind, bytes(header.config))
    for record in records(path):
        if record.moment is Moment.CONNECTED:
            decoder.connected()
        elif record.moment is Moment.CLOSED:
            decoder.disconnected()
        elif sightings := decoder.feed(record.data, record.wall, record.monotonic):
            yield Replayed(record.wall, record.monotonic, sightings)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise GatewayError(f"{path} cannot be read: {error.strerror}") from None


def _header(path: Path, file: BinaryIO) -> CaptureHeader:
    start = file.read(len(MAGIC) + _LENGTH.size)
    if not start.startswith(MAGIC[:-1]) or len(start) < len(MAGIC) + _LENGTH.size:
        raise GatewayError(f"{path} is no capture of a device; make one with the verb capture")
    if start[: len(MAGIC)] != MAGIC:
        raise GatewayError(
            f"{path} is a capture of format {start[len(MAGIC) - 1]}; this version reads format {MAGIC[-1]}"
        )
    length = _LENGTH.unpack_from(start, len(MAGIC))[0]
    try:
        return msgspec.json.decode(file.read(min(length, MAX_RECORD)), type=CaptureHeader)
    except msgspec.DecodeError as error:
        raise GatewayError(f"{path} is a capture with a damaged header: {error}") from None
