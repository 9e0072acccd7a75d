"""Generated pages: the configuration, from the config's models; the API, from docstrings."""

import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = Path(__file__).parents[1] / "src/mmroute"


def api() -> dict[str, str]:
    """Write the API's pages, by name: one of each room, and one of what lies above them."""
    rooms = {"index": sorted(PACKAGE.glob("*.py"))}
    for room in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        rooms[room.name] = sorted(room.rglob("*.py"))
    return {room: _reference(room, paths) for room, paths in rooms.items()}


def _reference(room: str, paths: list[Path]) -> str:
    lines = [f"# {'mmroute' if room == 'index' else room}", ""]
    for path in paths:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        # Modules and rooms are shown apart from each other.
        lines += [f"::: {'.'.join(parts).removesuffix('.__init__')}", ""]
        lines += ["    options: {show_submodules: false}", ""]
    return "\n".join(lines)


def configuration() -> str:
    """Write every key of the config with its default, as the package itself tells it."""
    command = [sys.executable, "-m", "mmroute.config", "--reference"]
    keys = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f'--8<-- "config/README.md"\n\n{keys}'


def on_config(config: MkDocsConfig) -> None:
    """Put the API's pages into the navigation."""
    pages = [f"api/{room}.md" for room in api()]
    config.nav.append({"API": pages})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the generated pages."""
    pages = {f"api/{room}.md": text for room, text in api().items()}
    for name, text in (pages | {"configuration.md": configuration()}).items():
        files.append(File.generated(config, name, content=text))
