"""Tables by which several processes on one database know of each other. They hold nothing of value: they may be emptied."""

from __future__ import annotations

from cloud.store.columns import int_column, keyed_table, text_column

#: Counts a site's commits that no column of the site itself counts; "" = the network's. Processes look at it every second.
change_count = keyed_table("change_count", text_column("site_id", key=True), int_column("commits"))

#: What one process at a time does: `holder` may go on until `expires_at` unless it renews. Microseconds UTC.
lease = keyed_table(
    "lease", text_column("name", key=True), text_column("holder"), int_column("renewed_at"), int_column("expires_at")
)
