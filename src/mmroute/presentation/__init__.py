"""Presentation: how numbers become tables and figures, wherever they come from."""
