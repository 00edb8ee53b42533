"""A warehouse that is not there: readers that speak LLRP over TCP, the radio between them and tags, pallets that move.

For tests, for `evercount-gateway simulate` and for planning doors. `warehouse.py` puts it together; `reader.py` is one
reader; `scenario.py` says where the tags are and `radio.py` who hears them; `llrp/` is the protocol, written from the
standard and not shared with the driver.
"""
