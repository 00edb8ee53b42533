"""Sightings become observations: this passed that door, this way. Pure: no I/O, no clock; time comes with the sightings."""
