"""Why the rule decided as it did: kept beside the ledger for a while, found again by the hash that the movement carries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

#: Days for which evidence is kept: as long as rows stay in the ledger.
KEPT_DAYS = 35
#: Bytes of one day's evidence at most; a busy dock writes some 3 kB for each pallet, so this is 20,000 pallets.
DAY_BYTES = 64 << 20


class EvidenceStore:
    """One file of JSON lines per day, `HASH{...}`. Not synced: what a power cut takes is evidence, never a movement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day = ""
        #: True while the disk has no room to spare
        self.stopped = False
        #: lines not kept because of that, because the day's file is full or because the disk refused them
        self.refused = 0

    def keep(self, digest: str, evidence: bytes, at: int) -> None:
        """Keep `evidence` (one JSON text) of time `at` (microseconds UTC) under `digest`, unless `stopped`."""
        if self.stopped:
            self.refused += 1
            return
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
        day = moment.strftime("%Y-%m-%d")
        path = self._folder / f"{day}.jsonl"
        try:
            if day != self._day:
                self._begin(day, moment)
            if path.exists() and path.stat().st_size > DAY_BYTES:
                self.refused += 1
                return
            with path.open("ab") as file:
                file.write(digest.encode() + evidence + b"\n")
        except OSError:
            self.refused += 1

    def find(self, digest: str) -> bytes | None:
        """The evidence under `digest`, or None where it is gone."""
        mark = digest.encode() + b"{"
        for path in sorted(self._folder.glob("*.jsonl"), reverse=True):
            with path.open("rb") as file:
                for line in file:
                    if line.startswith(mark):
                        return line[len(mark) - 1 : -1]
        return None

    def _begin(self, day: str, moment: datetime) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        oldest = (moment - timedelta(days=KEPT_DAYS)).strftime("%Y-%m-%d")
        for path in self._folder.glob("*.jsonl"):
            if path.stem < oldest:
                path.unlink()
        self._day = day
