"""Which campaigns there are: what each breaks, how, and what must hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from outcome import Outcome, guarded, isolated

#: Kills of headquarters, of the densely used gateways and of the whole gateway program with readers in one play.
KILLS = (63, 250, 8)


class Campaign(NamedTuple):
    """A fault, the method, what must hold; `play(folder, seed)` plays it once, `plays` are the default number of plays."""

    name: str
    fault: str
    method: str
    must: str
    plays: int
    play: Callable[[Path, int], Outcome]


def _kills(folder: Path, seed: int) -> Outcome:
    import kills

    result = kills.play(folder, seed, *KILLS, dense=3, forked="all")
    least = {f"in flight, least, {name}": min(found) for name, found in result.in_flight.items()}
    counts = {
        **{f"kills of {name}": count for name, count in result.kills.items()},
        **least,
        "kills of cloud with a push open": result.pushes_open,
        **result.figures,
    }
    return Outcome(counts, result.faults)


def _alone(module: str, network: bool = False, **arguments: object) -> Callable[[Path, int], Outcome]:
    """A play in namespaces of its own."""
    return lambda folder, seed: isolated(module, folder, seed, network, **arguments)


def _plain(module: str, **arguments: object) -> Callable[[Path, int], Outcome]:
    """A play in this process."""

    def play(folder: Path, seed: int) -> Outcome:
        import importlib

        return guarded(importlib.import_module(module).play, folder, seed, **arguments)

    return play


def _day(folder: Path, seed: int) -> Outcome:
    import figures

    return guarded(figures.day, folder, seed)


CAMPAIGNS = (
    Campaign(
        "kills",
        "kill -9 of gateway and headquarters",
        "real programs under traffic, forked from processes that have imported them; SIGKILL at random instants, half of "
        "headquarters' in mid-push; each counts only with movements or rows in flight",
        "every receipt, acknowledged push and shown line is there unchanged, nothing twice, both sides equal",
        8,
        _kills,
    ),
    Campaign(
        "power",
        "the plug is pulled",
        "reflink copy of the gateway's disk image (ext4 on XFS) while it writes; the copy is mounted and judged, every tenth "
        "also started",
        "every receipt is in the copy, nothing is damaged",
        10,
        _alone("power", cuts=50),
    ),
    Campaign(
        "fsync",
        "each Nth fsync of a run of 50 commits fails",
        "preloaded library, EIO, for every N; even seeds fail three in a row",
        "who was told finds it, the failure is told, the program goes on or finishes when it is started again",
        2,
        _plain("failing", call="sync"),
    ),
    Campaign(
        "write",
        "each Nth write of a run of 50 commits fails",
        "the same with write, pwrite and ftruncate",
        "the same",
        2,
        _plain("failing", call="write"),
    ),
    Campaign(
        "full",
        "the disk is full",
        "ext4 of 24 MiB filled behind each of 50 commits, then given room; stopped and started while full",
        "no receipt lost, records again within 10 s of room, its figures say so within 5 s",
        2,
        _alone("disk", fault="full", commits=50),
    ),
    Campaign(
        "readonly",
        "the card turns read-only",
        "`mount -o remount,abort` under traffic, start on a read-only mount, e2fsck, start again",
        "no receipt lost, its figures say so within 5 s, one sentence at the start",
        4,
        _alone("disk", fault="readonly", times=5),
    ),
    Campaign(
        "damage",
        "bits flip, pages turn to garbage, the log is cut",
        "300 ways on copies of a killed gateway's folder, part of whose rows headquarters holds; the real programs start on it",
        "no damaged row is sent, every readable row stands, nothing twice, both sides have the same stock",
        3,
        _plain("damaged", ways=100),
    ),
    Campaign(
        "proxy",
        "slow, stalled, cut and silent connections",
        "a proxy between the programs: 300 ms latency, stalls, 64 kbit/s, cuts in mid-answer, half-open, silent, reset",
        "nothing lost or doubled, all there 60 s after it healed, commits as fast as before",
        5,
        _plain("network", way="proxy"),
    ),
    Campaign(
        "packets",
        "partitions, one-way loss, resets",
        "iptables in a network namespace: dropped both ways, either way, 30 % of packets, tcp-reset",
        "the same",
        5,
        _alone("network", network=True, way="packets"),
    ),
    Campaign(
        "takeover",
        "the gateway dies, a spare box takes over, the old card is salvaged",
        "real programs: replacement code, `enrol`, opening snapshot, traffic, the old box wakes up, `salvage`",
        "it opens with headquarters' stock; every crossing of either box stands once; the old key is refused",
        5,
        _plain("takeover"),
    ),
    Campaign(
        "offline",
        "30 days without headquarters",
        "2.6 M rows written, then enrolled and connected, with movements going on",
        "stock shown within 10 s, at least 1,000 rows a second, both ledgers the same row by row",
        1,
        _plain("offline"),
    ),
    Campaign(
        "day",
        "a seeded day of the whole system with faults",
        "gateways, headquarters, readers, network and disks in one process on virtual time",
        "as above; a failing seed replays identically",
        100,
        _day,
    ),
    Campaign(
        "fuzz",
        "malformed bytes",
        "atheris, coverage-guided, 10 minutes for each parser: LLRP, EPC and GS1 barcodes, the wire",
        "no crash, no input over 100 ms, memory bounded",
        1,
        _plain("fuzz"),
    ),
    Campaign(
        "figures",
        "(figures)",
        "bytes written and sent per movement, ingest per second, exposure score of the units",
        "",
        1,
        _plain("figures"),
    ),
)


def find(name: str) -> Campaign:
    """The campaign of this name. Raises ValueError with one sentence."""
    for campaign in CAMPAIGNS:
        if campaign.name == name:
            return campaign
    known = ", ".join(campaign.name for campaign in CAMPAIGNS)
    raise ValueError(f"there is no campaign {name}; known: {known}, and report")
