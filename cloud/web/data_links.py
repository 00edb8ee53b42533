"""Addresses of the pages of data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from cloud.errors import NotFoundError
from cloud.inputs.masters import MASTERS, MasterName
from cloud.web.page import href


def kind_of(text: str) -> MasterName:
    """The kind of data that a path names. Raises NotFoundError."""
    for kind in MASTERS:
        if kind == text:
            return kind
    raise NotFoundError(f"there is no data called {text}; see /data for what there is")


def done_key(kind: MasterName, row: Mapping[str, object]) -> str:
    """The key of a row as the URL of a list holds it."""
    return msgspec.json.encode([row[name] for name in MASTERS[kind].key]).decode()


def edit_link(kind: MasterName, row: Mapping[str, object], back: str = "", page: str = "edit") -> str:
    """The page on which a row is changed; its key may hold empty texts, which count."""
    values = {name: str(row[name]) for name in MASTERS[kind].key} | ({"back": back} if back else {})
    return f"/data/{kind}/{page}?{urlencode(values)}"


def add_link(kind: MasterName, site: str, back: str) -> str:
    """The empty form of a kind, with the site that a list shows."""
    names = MASTERS[kind].table.c.keys()
    site_field = "site_id" if "site_id" in names else "from_site" if "from_site" in names else ""
    return href(f"/data/{kind}/edit", None, **({site_field: site} if site_field else {}), back=back)


def safe_back(kind: str, back: str) -> str:
    """Where to go afterwards: a list of this kind, nowhere else."""
    return back if back == f"/data/{kind}" or back.startswith((f"/data/{kind}?", "/plans")) else f"/data/{kind}"


def with_done(back: str, done: str) -> str:
    """The list to go back to, in which the row with this key was just stored."""
    return f"{back}{'&' if '?' in back else '?'}{urlencode({'done': done})}" if back.startswith("/data/") else back
