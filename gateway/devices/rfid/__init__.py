"""LLRP readers. Read `stream` first: it is the way from bytes to sightings; `reader` is the life around it."""
