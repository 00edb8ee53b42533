"""What Wireshark's LLRP dissector says about recorded frames."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from gateway.simulation.llrp.codec import HEADER
from gateway.simulation.recorder import Recorder

#: Faults of the dissector (4.0), by message type. It counts two bytes too few of the Identification parameter in
#: GET_READER_CONFIG_RESPONSE, and it shows the one byte of SET_PROTOCOL_VERSION without counting it.
KNOWN_FAULTS = {
    12: "Incorrect length of parameter: 13 bytes decoded, but 15 bytes claimed.",
    47: "Incorrect length of message: 10 bytes decoded, but 11 bytes available.",
}


class Verdict(NamedTuple):
    type: int
    complaint: str


def dissect(recorder: Recorder, folder: Path) -> list[Verdict]:
    """One verdict per recorded frame; the dissector's own known faults are left out of the complaints."""
    dump, capture = folder / "frames.txt", folder / "frames.pcap"
    dump.write_text(recorder.hexdump())
    subprocess.run(["text2pcap", "-q", "-T", "5084,40000", dump, capture], check=True, capture_output=True)
    fields = [item for name in ("llrp.type", "_ws.malformed", "_ws.expert.message") for item in ("-e", name)]
    command = ["tshark", "-r", str(capture), "-d", "tcp.port==5084,llrp", "-T", "fields", *fields]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    verdicts: list[Verdict] = []
    for frame, line in zip(recorder.frames, output.splitlines(), strict=True):
        numbers, malformed, message = line.split("\t")
        number = int(numbers.split(",")[0])
        assert number == HEADER.unpack_from(frame.data)[0] & 0x3FF
        verdicts.append(Verdict(number, "" if message == KNOWN_FAULTS.get(number) else malformed + message))
    return verdicts
