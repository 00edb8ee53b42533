"""Fact reaches headquarters (`uplink`), advice comes back (`downlink`); `http` is the one door, `identity` the key to it."""
