"""How our kinds of movement are told to the outside: GS1 EPCIS 2.0 event types and CBV 2.0 vocabulary."""

from __future__ import annotations

from typing import Literal, NamedTuple

from vocabulary.movement import Kind

EventType = Literal["ObjectEvent", "AggregationEvent", "TransformationEvent"]
Action = Literal["OBSERVE", "ADD", "DELETE"]


class EventForm(NamedTuple):
    """The EPCIS form of a kind: event type, action (none for transformations), CBV business step and disposition."""

    type: EventType
    action: Action | None
    biz_step: str
    disposition: str | None


#: `identifying` corrects our knowledge and not the world: it is not exported.
FORMS: dict[Kind, EventForm] = {
    "receiving": EventForm("ObjectEvent", "OBSERVE", "receiving", "in_progress"),
    "storing": EventForm("ObjectEvent", "OBSERVE", "storing", "sellable_accessible"),
    "moving": EventForm("ObjectEvent", "OBSERVE", "transporting", "in_progress"),
    "picking": EventForm("ObjectEvent", "OBSERVE", "picking", "in_progress"),
    "shipping": EventForm("ObjectEvent", "OBSERVE", "shipping", "in_transit"),
    "hold": EventForm("ObjectEvent", "OBSERVE", "holding", "non_sellable_other"),
    "release": EventForm("ObjectEvent", "OBSERVE", "inspecting", "sellable_accessible"),
    "returning": EventForm("ObjectEvent", "OBSERVE", "receiving", "returned"),
    "counting": EventForm("ObjectEvent", "OBSERVE", "cycle_counting", None),
    "aggregating": EventForm("AggregationEvent", "ADD", "packing", "in_progress"),
    "disaggregating": EventForm("AggregationEvent", "DELETE", "unpacking", "in_progress"),
    "consuming": EventForm("TransformationEvent", None, "commissioning", None),
    "producing": EventForm("TransformationEvent", None, "commissioning", "active"),
    "commissioning": EventForm("ObjectEvent", "ADD", "commissioning", "active"),
    "destroying": EventForm("ObjectEvent", "DELETE", "destroying", "destroyed"),
}
