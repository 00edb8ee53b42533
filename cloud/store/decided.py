"""What headquarters made of its data: forecasts, proposals and the runs that made them. `schema` shows them with all others."""

from __future__ import annotations

from sqlalchemy import Index

from cloud.store.columns import bytes_column, flag_column, int_column, keyed_table, text_column

#: Immutable versions. `body` JSON with the fan and lead-time quantiles, `latest` marks the one in force.
forecast = keyed_table(
    "forecast",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("version", key=True),
    int_column("created_at"),
    text_column("origin_day"),
    text_column("demand_class"),
    text_column("inputs_hash"),
    flag_column("latest"),
    bytes_column("body"),
)
Index("ix_forecast_site_id_latest_item", forecast.c.site_id, forecast.c.latest, forecast.c.item)

#: `body` the whole vocabulary Recommendation as JSON as it was proposed; `quantity` as decided, when it was edited.
recommendation = keyed_table(
    "recommendation",
    text_column("site_id", key=True),
    text_column("id", key=True),
    text_column("kind"),
    text_column("state"),
    text_column("item"),
    text_column("partner"),
    int_column("quantity"),
    text_column("by_day"),
    int_column("cost_minor", null=True),
    text_column("currency"),
    int_column("confidence"),
    text_column("forecast"),
    text_column("document"),
    int_column("created_at"),
    int_column("changed_at"),
    int_column("expires_at", null=True),
    int_column("snoozed_until", null=True),
    int_column("decided_at", null=True),
    text_column("decided_by"),
    text_column("reason"),
    bytes_column("body"),
)
Index("ix_recommendation_site_id_state", recommendation.c.site_id, recommendation.c.state)

#: `site_id` "" = the whole network; `trigger` schedule, request or demo; `report` JSON.
cycle_run = keyed_table(
    "cycle_run",
    text_column("site_id", key=True),
    int_column("started_at", key=True),
    int_column("finished_at", null=True),
    text_column("trigger"),
    text_column("state"),
    text_column("report"),
)
