"""docs/reliability.md, made from the results file and a template with what people wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.soak.campaigns import CAMPAIGNS, Campaign
from benchmarks.soak.results import Line

TEMPLATE = Path(__file__).with_name("reliability.md")
#: Words in the name of a count that say that the largest, or the smallest, of all runs is meant; else they are added up.
LARGEST, SMALLEST, LAST = ("slowest", "most", "largest", "p99"), ("least", "smallest", "per second"), ("figure",)


def page(lines: list[Line]) -> str:
    """The whole page."""
    table = "\n".join(_row(campaign, _of(campaign, lines)) for campaign in CAMPAIGNS)
    counts = "\n".join(text for campaign in CAMPAIGNS for text in _counted(campaign, _of(campaign, lines)))
    failed = "\n".join(_failed(lines)) or "No run in the file found a fault."
    machines = "\n".join(f"- {machine}" for machine in dict.fromkeys(line.machine for line in lines)) or "- none yet"
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, found in (("table", table), ("counts", counts), ("failed", failed), ("machines", machines)):
        text = text.replace(f"<!-- {name} -->", found)
    return text


def _of(campaign: Campaign, lines: list[Line]) -> list[Line]:
    """The last line of each seed: a run that found a fault is played again once that is mended."""
    return list({line.seed: line for line in lines if line.campaign == campaign.name}.values())


def _row(campaign: Campaign, lines: list[Line]) -> str:
    faulty = sum(bool(line.faults) for line in lines)
    result = (
        "not played yet" if not lines else f"**{faulty} runs with faults**" if faulty else "nothing lost or doubled"
    )
    dates = sorted({line.date for line in lines})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else ""
    cells = (
        campaign.fault,
        campaign.method,
        campaign.must,
        str(len(lines)),
        result,
        when,
        f"`./run soak {campaign.name}`",
    )
    return f"| {' | '.join(cells)} |"


def _counted(campaign: Campaign, lines: list[Line]) -> Iterator[str]:
    if not lines:
        return
    totals: dict[str, Any] = {}
    for line in lines:
        for name, value in _flat(line.counts):
            totals[name] = _together(name, totals.get(name), value)
    commits = ", ".join(dict.fromkeys(line.commit for line in lines))
    found = "; ".join(f"{name} {_shown(value)}" for name, value in totals.items())
    minutes = sum(line.seconds for line in lines) / 60
    yield f"- **{campaign.name}** ({len(lines)} runs, {minutes:.0f} min, commit {commits}): {found}"


def _flat(counts: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in counts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name} ")
        elif not isinstance(value, list) or value:
            yield before + name, value


def _together(name: str, so_far: Any, value: Any) -> Any:
    if so_far is None or not isinstance(value, int | float) or any(word in name for word in LAST):
        return value
    if any(word in name for word in LARGEST):
        return max(so_far, value)
    if any(word in name for word in SMALLEST):
        return min(so_far, value)
    return so_far + value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _failed(lines: list[Line]) -> Iterator[str]:
    """Each run that found a fault, and whether the same run has passed since."""
    for number, line in enumerate(lines):
        if line.faults:
            later = [one for one in lines[number + 1 :] if (one.campaign, one.seed) == (line.campaign, line.seed)]
            since = "passed since" if later and not later[-1].faults else "**not passed since**"
            first = line.faults[0].strip().splitlines()[-1][:200]
            yield f"- {line.campaign}, seed {line.seed}, {line.date}, commit {line.commit}: {first} ({since})"
