"""Where the workflow lies that belongs to this package.

In a checkout it lies beside ``src``; a wheel has it within the package.
"""

from pathlib import Path

from mmroute.storage import link_to

PACKAGE = Path(__file__).parent
_IN_WHEEL = PACKAGE / "_workflow"
SOURCE_TREE = _IN_WHEEL if _IN_WHEEL.is_dir() else PACKAGE.parents[1]
"""The folder of the Snakefile, of ``workflow``, ``config``, ``envs`` and ``notebooks``."""


def import_folder(scratch: Path) -> Path:
    """Find the folder to import this package from in another environment, and no other package.

    A checkout has it. Where the package is installed among others, it is linked to in ``scratch``.
    """
    if SOURCE_TREE != _IN_WHEEL:
        return PACKAGE.parent
    link = scratch.absolute() / PACKAGE.name
    if not link.exists() or not link.samefile(PACKAGE):
        link_to(link, PACKAGE)
    return link.parent
