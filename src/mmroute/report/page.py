"""Pages: one HTML file that opens from disk, with everything in it and nothing from elsewhere."""

import base64
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import jinja2

from mmroute.presentation.tables import format_p, format_value

LONG_TABLE = 8
"""Rows beyond which a table has a field that filters them."""
NARROW_TABLE = 6
"""Columns up to which a table shows its intervals at first."""


def render(template: str, scripts: Sequence[str] = (), **shown: Any) -> str:
    """Render a template of this room that extends ``page.html.j2``; all text is escaped.

    Parameters
    ----------
    template
        Its name.
    scripts
        What the page runs beside its own script. A browser runs these alone: their digests
        stand in the page's policy, and text from data is no script whatever it holds.
    shown
        What the template shows.

    Raises
    ------
    ValueError
        If a script would end its own element.
    """
    environment = _environment()
    run = [asset("page.js"), *scripts]
    if any("</script" in script.lower() for script in run):
        raise ValueError("a script that ends its own element")
    page = environment.get_template(template).render(
        style=asset("page.css"),
        scripts=run,
        policy=" ".join(["script-src", *map(_source, run)]),
        contents=[],
        long=LONG_TABLE,
        narrow=NARROW_TABLE,
        **shown,
    )
    return page.strip() + "\n"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mmroute.report", "."),
        extensions=["jinja2.ext.do"],
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": or_dash("{:.1%}".format),
        "usd": or_dash(_usd),
        "metric": format_value,
        "signed": or_dash("{:+.3f}".format),
        "reached": or_dash(lambda cost: "∞" if math.isinf(cost) else f"{cost:,.0%}"),
        "rounded": or_dash("{:,.1f}".format),
        "p": format_p,
        "parts": _parts,
    }
    return environment


def asset(name: str) -> str:
    """The text of a file of this room."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def _source(script: str) -> str:
    """How a content security policy names an inline script."""
    return f"'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'"


def or_dash(text: Callable[[float], str]) -> Callable[[float], str]:
    """Show an undefined value as a dash."""
    return lambda value: "–" if math.isnan(value) else text(value)


def _usd(value: float) -> str:
    """Format USD per query as USD per 1,000 queries."""
    return f"{value * 1000:,.2f}" if value * 1000 >= 0.1 else f"{value * 1000:.4f}"


def _parts(text: str) -> list[str]:
    """A heading in parts, between which a line may break: at signs, and at capitals in a name."""
    return re.split(r"(?<=[_./-])|(?<=[a-z\d]{3})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", text)
