"""Headquarters: gathers every site's ledger, keeps stock and demand, forecasts, decides, and serves an API and pages.

Data moves ingest -> projections -> forecasts and decisions -> recommendations; `app` composes, `cycle` decides.
"""
