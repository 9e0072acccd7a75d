"""Outcomes: what the sources hold, joined into one table, with pool, prices and frozen splits."""
