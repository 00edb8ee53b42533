"""Master data without a past: three sites, eight items, their terms. Pages of data need no ledger behind them."""

from __future__ import annotations

from headquarters import Headquarters
from seeded_network import ITEMS, SITES, ZONE

from cloud.store import lanes, schema
from cloud.store.database import writing


async def seed_data(headquarters: Headquarters) -> None:
    """Write it. hall-trade delivers all but tea and is not listed among the suppliers, as people forget to."""
    for site, name in SITES:
        await headquarters.add_site(site, name=name, zone=ZONE)
    async with writing(headquarters.engine) as conn:
        await conn.execute(schema.supplier.insert().values(id="leaf-co", name="Leaf & Co"))
        await conn.execute(
            schema.packaging.insert().values(gtin="10614141000415", item="TEA-100", quantity=24, name="case")
        )
        for item, name, price, _, unit in ITEMS:
            await conn.execute(schema.item.insert().values(id=item, name=name, unit=unit, price_micro=price))
        columns = schema.term.columns.keys()
        usual = {"currency": "EUR", "moq": 24, "pack": 12, "lead_time_days": 4.0, "lead_time_sd": 1.0, "preferred": 1,
                 "order_cost_minor": 2_500}  # fmt: skip
        rows = [
            usual | {"site_id": site, "item": item, "price_micro": price - price // 10,
                     "supplier": "leaf-co" if item.startswith("TEA") else "hall-trade"}
            for site, _ in SITES
            for item, _, price, _, _ in ITEMS
        ]  # fmt: skip
        await lanes.append(conn, schema.term, [tuple(row[name] for name in columns) for row in rows])
