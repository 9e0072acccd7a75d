"""What a docstring returns may be prose; numpydoc, and so griffe, wants a type above it."""

import re
from textwrap import indent
from typing import Any

import griffe

RETURNS = re.compile(r"(?<=^Returns\n-------\n)(?! ).+?(?=\n+\w[^\n]*\n---+\n|\Z)", re.M | re.S)


class ProseReturns(griffe.Extension):
    """Put the annotated type above what is returned where the docstring has none."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Rewrite one function's docstring in place."""
        if func.docstring:
            func.docstring.value = RETURNS.sub(
                lambda found: _typed(found[0], str(func.returns)), func.docstring.value
            )


def _typed(returned: str, kind: str) -> str:
    has_type = re.match(r"[^\n]*\n {4}", returned)
    return returned if has_type else f"{kind}\n{indent(returned, '    ')}"
