"""The demo's trade: items, packaging, suppliers, terms and sites, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

#: GS1's own example company prefix (9506000), seven digits.
PREFIX = "9506000"

#: Cases on a full pallet: five layers of eight.
CASES_PER_PALLET = 40

_GOODS = {
    "Coffee": ("espresso beans 1 kg", "filter coffee 500 g", "decaf pods 50", "cold brew 1 L", "crema beans 1 kg"),
    "Tea": ("green tea 100", "earl grey 100", "rooibos 80", "mint tea 80", "assam loose 500 g"),
    "Cleaning": ("glass cleaner 1 L", "floor soap 5 L", "dish tabs 60", "descaler 1 L", "hand soap 500 mL"),
    "Paper": ("copy paper A4", "paper towels 24", "tissues 100", "label rolls 12", "till rolls 20"),
    "Lighting": ("LED lamp 9 W", "LED lamp 14 W", "tube 18 W", "work light", "night light"),
    "Batteries": ("AA 24", "AAA 24", "9 V 10", "button cells 40", "power bank"),
    "Tools": ("tape measure", "box cutter", "screwdriver set", "torch", "stapler"),
    "Safety": ("gloves M 100", "gloves L 100", "ear plugs 200", "safety glasses", "first-aid kit"),
    "Kitchen": ("mugs 6", "glasses 6", "cutlery set", "thermos 1 L", "lunch box"),
    "Storage": ("file boxes 10", "shelf bins 12", "stretch film 500 mm", "packing tape 6", "bubble wrap 50 m"),
    "Drinks": ("still water 1 L", "sparkling water 1 L", "orange juice 1 L", "cola 330 mL", "oat drink 1 L"),
    "Garden": ("potting soil 20 L", "grass seed 1 kg", "plant feed 1 L", "hose 20 m", "pruner"),
}


@dataclass(frozen=True, slots=True)
class Supplier:
    """A supplier, the days it needs, and the value (minor units) from which it pays the freight."""

    id: str
    name: str
    lead_time_days: float
    lead_time_sd: float
    freight_free_minor: int


@dataclass(frozen=True, slots=True)
class DemoItem:
    """An item; `case`, `pallet` and `moq` in base units, `daily` what a typical site sells a day."""

    id: str
    name: str
    category: str
    gtin: str
    case_gtin: str
    pallet_gtin: str
    case: int
    pallet: int
    price_micro: int
    supplier: str
    daily: float
    moq: int


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A warehouse: its share of the demand, and its two adjacent dock doors."""

    id: str
    name: str
    zone: str
    country: str
    share: float
    doors: tuple[str, str] = ("dock-1", "dock-2")


SUPPLIERS = (
    Supplier("SUP-ALTO", "Alto Trading", 2.0, 0.5, 0),
    Supplier("SUP-BORA", "Bora Wholesale", 5.0, 1.5, 60_000),
    Supplier("SUP-CIMA", "Cima Imports", 12.0, 4.0, 150_000),
)

SITES = (
    DemoSite("north", "North warehouse", "Europe/Berlin", "DE", 0.8),
    DemoSite("south", "South warehouse", "Europe/Rome", "IT", 0.6),
    DemoSite("central", "Central warehouse", "Europe/Vienna", "AT", 1.4),
)

CURRENCY = "EUR"
#: Where each site keeps its stock.
STORAGE = "storage"

CUSTOMERS = ("CUS-ARDEN", "CUS-BRIAR", "CUS-CEDAR", "CUS-DELTA")


def items(seed: int) -> list[DemoItem]:
    """The catalogue: five items of each category; prices, cases and turnover drawn from `seed`."""
    random = Random(f"{seed}:catalogue")
    made: list[DemoItem] = []
    for category, names in _GOODS.items():
        for name in names:
            number = len(made) + 1
            case = random.choice((6, 12, 12, 24))
            made.append(
                DemoItem(
                    id=f"{category[:3].upper()}-{number:03d}",
                    name=f"{category}: {name}",
                    category=category,
                    gtin=gtin14("0", number),
                    case_gtin=gtin14("1", number),
                    pallet_gtin=gtin14("2", number),
                    case=case,
                    pallet=case * CASES_PER_PALLET,
                    price_micro=random.randrange(150, 6_000) * 10_000,
                    supplier=random.choices(SUPPLIERS, (3, 2, 1))[0].id,
                    daily=random.lognormvariate(1.3, 1.1),
                    moq=case * random.choice((1, 1, 2, 4)),
                )
            )
    return made


def gtin14(indicator: str, number: int) -> str:
    """The GTIN-14 of item `number` under the demo's company prefix (GS1 General Specifications 7.9: check digit)."""
    return _with_check_digit(f"{indicator}{PREFIX}{number:05d}")


def sscc(number: int) -> str:
    """The `number`-th SSCC under the demo's company prefix."""
    return _with_check_digit(f"0{PREFIX}{number:09d}")


def _with_check_digit(digits: str) -> str:
    weighted = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits)))
    return digits + str(-weighted % 10)
