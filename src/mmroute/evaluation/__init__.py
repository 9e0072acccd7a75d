"""Evaluation: operating curves of predictions and what is measured on them.

Nothing here knows a router.
"""
