"""Report: main tables and figures, the data, conclusions, notebooks and the HTML page."""
