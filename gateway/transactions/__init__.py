"""Observations become movements: decoding, matching with documents, counting. Pure functions over values."""
