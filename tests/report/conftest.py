"""Pages in a headless browser."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up import made_up_report
from playwright.sync_api import Browser, Page, sync_playwright

from mmroute.report.html import Report


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return made_up_report(tmp_path)


# Its event loop runs as long as it does: other files have their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    program = shutil.which("chromium")
    assert program, "no chromium on the PATH; make chromium installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens pages, by their HTML; none may log to the console, fail, or ask for anything else."""
    said: list[str] = []
    folder = tmp_path / "browsed"
    folder.mkdir()
    opened = []

    def open_page(html: str, width: int = 1280, **context: str) -> Page:
        file = folder / f"{len(opened)}.html"
        file.write_text(html, encoding="utf-8")
        page = chromium.new_page(viewport={"width": width, "height": 800}, **context)
        opened.append(page)
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: _expect(request.url, file, said))
        page.goto(file.as_uri())
        return page

    yield open_page
    for page in opened:
        page.close()
    assert said == []


def _expect(url: str, file: Path, said: list[str]) -> None:
    if not url.startswith("data:") and url.partition("#")[0] != file.as_uri():
        said.append(f"request: {url}")
