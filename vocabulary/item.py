"""What is stocked: items, and the packaging levels under which their GTINs are known."""

from __future__ import annotations

from typing import Literal

import msgspec

#: UN/ECE Recommendation 20 codes of the five base units: one of each, gram, millilitre, millimetre, square centimetre.
BaseUnit = Literal["H87", "GRM", "MLT", "MMT", "CMK"]


class Item(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Our stock-keeping unit. Its base unit is fixed once its first movement exists."""

    id: str
    name: str
    unit: BaseUnit = "H87"
    #: stock is kept per lot
    lot: bool = False
    #: every piece carries a serial of its own
    serial: bool = False
    #: stock without a lot is kept per expiry date
    expiry: bool = False
    #: counted in pieces and weighed: lines carry each and net grams, the price is per gram
    catch_weight: bool = False
    #: made up from an unknown GTIN; on hold until a person identifies it (ledger rule 4)
    provisional: bool = False


class PackagingLevel(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One GTIN-14 of an item and how many base units it holds: each 1, case 24, pallet 960."""

    gtin: str
    item: str
    quantity: int
    name: str = ""
