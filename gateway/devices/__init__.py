"""Bytes become sightings: a driver per kind of device, each on its own, all behind one protocol (`driver`)."""
