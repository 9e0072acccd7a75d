"""The build: a wheel has the workflow within the package, as it needs both.

In the repository the workflow stays on top, where Snakemake and whoever reads it look for it.
"""

from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = ("Snakefile", "pyproject.toml")
FOLDERS = ("config", "envs", "notebooks", "workflow")


class BuildWithWorkflow(build_py):
    """Puts the workflow into ``mmroute/_workflow``, see ``mmroute.source_tree``."""

    def run(self) -> None:
        """Copy the package, then the workflow; an editable install finds it in the checkout."""
        if not self.editable_mode:
            # What an earlier build left there, and is gone here, would be packed too.
            rmtree(Path(self.build_lib, "mmroute"), ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        tree = Path(self.build_lib, "mmroute", "_workflow")
        for folder in FOLDERS:
            copytree(folder, tree / folder, ignore=ignore_patterns("__pycache__", ".*"))
        for file in FILES:
            self.copy_file(file, str(tree / file))

    def get_source_files(self) -> list[str]:
        """List what a source distribution needs."""
        workflow = [path for folder in FOLDERS for path in Path(folder).rglob("*")]
        return [
            *super().get_source_files(),
            *FILES,
            *(str(path) for path in workflow if path.is_file() and "__pycache__" not in path.parts),
        ]


setup(cmdclass={"build_py": BuildWithWorkflow})
