"""Notebooks: executed by papermill, rendered by nbconvert."""

from collections.abc import Mapping
from pathlib import Path

import papermill
from nbconvert import HTMLExporter

from mmroute.storage import atomic, write_text


def run(notebook: Path, parameters: Mapping[str, str], executed: Path, html: Path) -> None:
    """Execute a notebook with ``parameters`` and write it with its outputs, also as HTML.

    Raises
    ------
    papermill.PapermillExecutionError
        If a cell fails; the message holds the cell's own traceback.
    """
    with atomic(executed) as partial:
        papermill.execute_notebook(
            notebook, partial, parameters, progress_bar=False, log_output=False
        )
    exporter = HTMLExporter(
        embed_images=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    # The page must open without a network.
    exporter.mathjax_url = exporter.require_js_url = exporter.jquery_url = ""
    body, _ = exporter.from_filename(str(executed))
    write_text(html, body)
