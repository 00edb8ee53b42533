"""LLRP as a reader speaks it: grammar, codec and status codes, written from the standard (1.0.1 and 1.1).

Deliberately not shared with the driver: two codecs that agree say more than one that agrees with itself.
"""
