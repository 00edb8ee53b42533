"""Evidence is found by the hash that the movement carries, for as long as it is kept."""

from __future__ import annotations

from pathlib import Path

from gateway.ledger.evidence import DAY_BYTES, EvidenceStore

DAY = 86_400_000_000


def test_evidence_is_found_by_its_hash(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence")
    store.keep("abc", b'{"door":"1"}', 0)
    store.keep("abcd", b'{"door":"2"}', DAY)
    assert store.find("abc") == b'{"door":"1"}'
    assert store.find("abcd") == b'{"door":"2"}'
    assert store.find("ab") is None


def test_old_days_are_dropped_and_a_full_day_is_counted(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    store.keep("old", b"{}", 0)
    store.keep("new", b"{}", 40 * DAY)
    assert store.find("old") is None
    assert store.find("new") == b"{}"
    with (tmp_path / "1970-02-10.jsonl").open("ab") as file:
        file.truncate(DAY_BYTES + 1)
    store.keep("more", b"{}", 40 * DAY)
    assert store.refused == 1


def test_a_disk_that_refuses_costs_evidence_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    store = EvidenceStore(blocked)
    store.keep("abc", b"{}", 0)
    assert store.refused == 1
