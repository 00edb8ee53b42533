"""Somebody who asks: who they are, and what they may do at which site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import ColumnElement, String, true

from cloud.errors import DeniedError, NotFoundError

Role = Literal["viewer", "planner", "approver", "site-operator", "fleet-admin", "owner", "partner"]
#: read: all lists; plan: documents, terms, master data; approve: proposals; operate: exceptions and counts;
#: fleet: gateways and enrolment; own: people and keys; trade: a partner's own documents.
Permission = Literal["read", "plan", "approve", "operate", "fleet", "own", "trade"]

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "viewer": frozenset({"read"}),
    "planner": frozenset({"read", "plan"}),
    "approver": frozenset({"read", "plan", "approve", "operate"}),
    "site-operator": frozenset({"read", "operate"}),
    "fleet-admin": frozenset({"read", "fleet"}),
    "owner": frozenset({"read", "plan", "approve", "operate", "fleet", "own"}),
    "partner": frozenset({"trade"}),
}
ROLES: tuple[Role, ...] = tuple(PERMISSIONS)
#: Site of a role that holds at every site.
EVERY_SITE = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `roles` by site ("" = every site); `partner` limits a partner's key to its documents.

    `csrf` is the token that unsafe requests with this session's cookie must carry, "" for keys.
    """

    actor: str
    name: str
    roles: Mapping[str, tuple[Role, ...]] = field(default_factory=dict[str, "tuple[Role, ...]"])
    partner: str = ""
    csrf: str = ""

    def may(self, permission: Permission, site_id: str) -> bool:
        """Whether this one may do that at a site ("" = network-wide: only a role at every site gives that)."""
        roles = (*self.roles.get(EVERY_SITE, ()), *(self.roles.get(site_id, ()) if site_id else ()))
        return any(permission in PERMISSIONS[role] for role in roles)

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether this one may do that at any site."""
        return any(permission in PERMISSIONS[role] for roles in self.roles.values() for role in roles)

    def sites(self, permission: Permission) -> tuple[str, ...] | None:
        """The sites at which this one may do that, sorted; None = all of them."""
        if self.may(permission, EVERY_SITE):
            return None
        return tuple(sorted(site for site in self.roles if site and self.may(permission, site)))

    def require(self, permission: Permission, site_id: str) -> None:
        """Raises NotFoundError where the site may not even be known, DeniedError where the role does not allow it."""
        if self.may(permission, site_id):
            return
        if site_id and not self.may("read", site_id) and not self.may("trade", site_id):
            raise NotFoundError(f"there is no site {site_id} that you may see")
        where = f"at site {site_id}" if site_id else "network-wide"
        raise DeniedError(f"your role does not allow to {permission} {where}; ask an owner")

    def scope(self, column: ColumnElement[str], permission: Permission = "read") -> ColumnElement[bool]:
        """The condition that limits `column`, a site's id, to what this one may see: part of every query."""
        sites = self.sites(permission)
        return true() if sites is None else column.cast(String).in_(sites) if sites else ~true()
