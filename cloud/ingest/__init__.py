"""The gateways' side of headquarters: enrolment, signatures, ledger push, downlink. READ FIRST: receive.py."""
