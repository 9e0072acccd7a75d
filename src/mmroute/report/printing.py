"""Pages as PDF, by a browser of the system."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from mmroute.errors import InputError, one_line
from mmroute.storage import atomic, is_file

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Programs that print, in the order in which they are looked for."""
SECONDS = 60
"""How long one may take."""
_ALONE = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def find_browser() -> str | None:
    """Return the path of the first of ``BROWSERS`` that is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def print_page(browser: str, page: Path, pdf: Path) -> None:
    """Print a page on disk; raise InputError if the browser fails, which then leaves nothing."""
    # Nothing of the user's profile is read, and one that is open does not matter.
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile, atomic(pdf) as partial:
        command = [browser, *_ALONE, f"--user-data-dir={profile}", "--no-pdf-header-footer"]
        # Chromium has no sandbox for root.
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        command += [f"--print-to-pdf={partial.absolute()}", page.absolute().as_uri()]
        try:
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
            wrong = "" if is_file(partial) else "it wrote nothing"
        except (OSError, subprocess.SubprocessError) as error:
            wrong = one_line(error)
        if wrong:
            raise InputError(
                f"{pdf}: {browser} did not print it ({wrong}); print {page} in a browser"
            )
