"""Notebooks: executed by papermill, rendered by nbconvert."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill
from nbconvert import HTMLExporter

from mmroute.presentation.charts import AS_DATA
from mmroute.storage import atomic, write_text

_DRAWING = """
document.querySelectorAll(".chart").forEach((node) =>
  draw(node, JSON.parse(node.nextElementSibling.textContent)));
"""


def run(
    notebook: Path, parameters: Mapping[str, str], executed: Path, html: Path, library: Path
) -> None:
    """Execute a notebook with ``parameters`` and write it with its outputs, also as HTML.

    Parameters
    ----------
    notebook
        With its parameters in a cell of that tag.
    parameters
        By name.
    executed, html
        What is written.
    library
        The script that draws the charts, as of ``presentation.charts.library``.

    Raises
    ------
    papermill.PapermillExecutionError
        If a cell fails; the message holds the cell's own traceback.
    """
    with atomic(executed) as partial:
        content = papermill.execute_notebook(
            notebook, partial, parameters, progress_bar=False, log_output=False
        )
    exporter = HTMLExporter(
        embed_images=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    # The page must open without a network.
    exporter.mathjax_url = exporter.require_js_url = exporter.jquery_url = ""
    drawn = _place_charts(content)
    body, _ = exporter.from_notebook_node(content, {"metadata": {"name": html.stem}})
    scripts = (library.read_text(encoding="utf-8"), _DRAWING) if drawn else ()
    write_text(html, body + "".join(f"<script>{script}</script>\n" for script in scripts))


def _place_charts(content: Any) -> bool:
    """Put charts beside their places, as data that end no element; tell whether there are any."""
    drawn = False
    for number, cell in enumerate(content.cells):
        # That of the parameters is drawn at random.
        cell.id = f"cell-{number}"
        for output in cell.get("outputs", []):
            if AS_DATA in output.get("data", {}):
                spec = json.dumps(output.data[AS_DATA]).replace("<", "\\u003c")
                held = f'<script type="application/json">{spec}</script>'
                output.data["text/html"] = f'<div class="chart" style="width: 100%"></div>{held}'
                drawn = True
    return drawn
