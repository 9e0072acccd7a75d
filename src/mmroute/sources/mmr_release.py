"""The MMR-Bench releases, on the hub or in a folder.

The first is one wide CSV and images; ``mmr_v2`` has the layout of the second.
"""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt

from mmroute.errors import InputError
from mmroute.hub import download
from mmroute.outcome_table import OutcomeTable
from mmroute.sources import mmr_v2
from mmroute.sources.archives import unpack
from mmroute.sources.cells import column_names, nullable, outcome_table, read_cells
from mmroute.sources.image_files import (
    digests,
    index_by_tail,
    is_image,
    list_images,
    paths_below,
    relative_paths,
)
from mmroute.sources.release import ArchivedRelease
from mmroute.sources.survey import Recognised, Survey
from mmroute.sources.wide import find_models, model_columns, read_matrices
from mmroute.storage import link_to

CSV_NAMES = ("MMR-Bench.csv", "MMR_Bench.csv")
ARCHIVE_NAME = "images.tar.gz"
UNPACKED = "images"
RELEASE = "release"
CORE_COLUMNS = ("dataset_idx", "question", "answer", "img_path")
# In the order in which they are tried.
RELEASE_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp")

SCENARIOS = {
    "OCRBench": "OCR",
    "SEEDBench2_Plus": "OCR",
    "MMStar": "VQA",
    "RealWorldQA": "VQA",
    "MathVista": "Math",
    "MathVerse": "Math",
    "MathVision": "Math",
}
IMAGE_FOLDERS = {"SEEDBench2_Plus": "SEEDBenchv2Plus"}


class MmrRelease(ArchivedRelease):
    """The MMR-Bench release or its second version, or any data in the layout of either.

    The second version, ``gh0stHunter/MMR-Bench-V2``, has a table of instances for each task
    and a table of outcomes for each model and task. Only outcomes whose ``status`` is ``ok``
    count; the others are missing, and a warning counts them by status.

    Parameters
    ----------
    path
        A folder with the layout of either release.
    images
        VLMEvalKit's folder ``LMUData``, which has the images of the second version; else the
        folder of that name in the release.
    """

    name = "mmr_release"

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        max_members: Annotated[int, Ge(1)] = 1_000_000,
        max_gigabytes: Annotated[float, Gt(0)] = 200,
        group: str = "group",
        images: str | None = None,
    ) -> None:
        super().__init__(path, repo, revision, max_members, max_gigabytes, group)
        self.images = None if images is None else Path(images)

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the CSV or the second version's tables by their names."""
        own = bool(mmr_v2.choose(there.names)) or bool(set(CSV_NAMES) & set(there.names))
        return Recognised({"path": str(there.root)}) if own else None

    @property
    def wanted(self) -> str:
        """The tables' paths."""
        return f"{' or '.join(CSV_NAMES)}, or data/instances/<task>.parquet"

    def local_files(self) -> list[Path]:
        """List the tables, and the image archive if there is one; none for a hub."""
        if self.path is None:
            return []
        root = Path(self.path)
        if tables := mmr_v2.find_files(root):
            return tables
        archive = root / ARCHIVE_NAME
        return [_find_csv(root), *([archive] if archive.is_file() else [])]

    def image_names(self) -> Iterator[str]:
        """Read the images that the tables name, unless they come from the archive."""
        if self.path is None:
            return
        if mmr_v2.find_files(Path(self.path)):
            yield from mmr_v2.image_names(Path(self.path))
            return
        csv, *archive = self.local_files()
        if archive:
            return
        named = set(column_names(csv)) & {"dataset_idx", "img_path"}
        cells = read_cells(csv, sorted(named))
        if "dataset_idx" in named:
            parts = cells["dataset_idx"].str.rpartition("_")
            yield from _image_folder(parts[0]) + "/" + parts[2]
        if "img_path" in named:
            yield from paths_below(csv.parent, cells["img_path"])

    def image_files(self, names: Sequence[str]) -> list[Path]:
        """List the images below the release's folder that a name is the end of.

        Beside a hub's tables all images of ``images`` count: what these name is not known yet.
        """
        if self.path is None:
            return [self.images / name for name in list_images(self.images)] if self.images else []
        root = Path(self.path)
        if mmr_v2.find_files(root):
            return [(self.images or root / mmr_v2.IMAGES) / name for name in names]
        index = index_by_tail(list_images(root))
        ends = (name + suffix for name in names for suffix in ("", *RELEASE_SUFFIXES))
        return [root / index[end] for end in ends if end in index]

    def fetch(self, folder: Path) -> Path:
        """Download the release, or point at the local one; unpack its images if need be.

        A local release whose images are in an archive has ``folder`` as its
        root: the images lie in ``folder/images``, and ``folder/release`` links to
        the release. So it is where ``images`` names a folder, to which ``folder/LMUData`` links.
        """
        if self.images is not None and not self.images.is_dir():
            raise InputError(
                f"source.images: {self.images} is no folder; name VLMEvalKit's folder LMUData"
            )
        if self.path is None:
            if (folder / ARCHIVE_NAME).is_file():
                # What the archive of another revision held would be found with the others.
                shutil.rmtree(folder / UNPACKED, ignore_errors=True)
            download(self.repo, self.revision, folder, self._choose)
            if mmr_v2.find_files(folder):
                self._link_images(folder)
            if (folder / ARCHIVE_NAME).is_file():
                self._unpack(folder / ARCHIVE_NAME, folder)
            return folder
        root = Path(self.path)
        if mmr_v2.find_files(root):
            if self.images is None:
                return root
            self._link_images(folder)
            link_to(folder / RELEASE, root)
            return folder
        _find_csv(root)
        if not (root / ARCHIVE_NAME).is_file():
            return root
        self._unpack(root / ARCHIVE_NAME, folder)
        link_to(folder / RELEASE, root)
        return folder

    def origin(self, root: Path) -> Path:
        """Return the CSV, or the folder of the second version."""
        return _find_v2(root) or _find_csv(root)

    def read(self, root: Path) -> OutcomeTable:
        """Read the tables and find each sample's image."""
        second = _find_v2(root)
        if second is not None:
            return mmr_v2.read(second, root, self.group, SCENARIOS)
        if self.images is not None:
            raise InputError(
                f"source.images: {str(self.images)!r} has no meaning for {_find_csv(root)}, whose "
                "images lie beside it; leave it out"
            )
        csv = _find_csv(root)
        cells = read_cells(csv)
        if "dataset_idx" not in cells:
            raise InputError(
                f"{csv}: no column 'dataset_idx'; name each sample there as <dataset>_<id>"
            )
        models = find_models(cells.columns, csv)
        cells.index = pd.Index(cells["dataset_idx"])
        parts = cells["dataset_idx"].str.rpartition("_")
        dataset, number = parts[0], parts[2]
        nameless = np.flatnonzero((dataset == "") | (number == ""))
        if nameless.size:
            raise InputError(
                f"{csv}: column 'dataset_idx' holds {cells.index[nameless[0]]!r:.80} in row "
                f"{nameless[0] + 1}; name the sample <dataset>_<id>"
            )
        images = _find_images(cells, dataset, number, root, csv)
        if self.group not in ("group", *cells.columns):
            raise InputError(
                f"source.group: {csv} has no column {self.group!r:.80}; it has "
                f"{', '.join(cells.columns):.500}"
            )
        taken = {*CORE_COLUMNS, self.group, *model_columns(models)}
        empty = pd.Series("", index=cells.index)
        samples = pd.DataFrame(
            {
                "sample_id": cells["dataset_idx"],
                "dataset": dataset,
                "scenario": dataset.map(lambda name: SCENARIOS.get(name, name)),
                "group": cells.get(self.group, empty),
                "question": cells.get("question", empty),
                "answer": nullable(cells.get("answer", empty)),
                "image": images,
                "image_digest": digests(images, root),
                **{f"tag_{name}": cells[name] for name in cells if name not in taken},
            }
        )
        return outcome_table(samples, models, read_matrices(cells, models, csv))

    def _unpack(self, archive: Path, folder: Path) -> None:
        unpack(archive, folder / UNPACKED, self.max_members, self.max_gigabytes * 1e9)

    def _link_images(self, folder: Path) -> None:
        if self.images is not None:
            link_to(folder / mmr_v2.IMAGES, self.images)
        else:
            (folder / mmr_v2.IMAGES).unlink(missing_ok=True)

    def _choose(self, paths: Sequence[str]) -> list[str]:
        if tables := mmr_v2.choose(paths):
            return tables
        csv = next((name for name in CSV_NAMES if name in paths), None)
        if csv is None:
            raise InputError(
                f"source.repo: {self.repo!r} at revision {self.revision!r} has no "
                f"{' or '.join(CSV_NAMES)} and no data/instances/<task>.parquet; name a data set "
                "with the layout of a release"
            )
        if ARCHIVE_NAME in paths:
            return [csv, ARCHIVE_NAME]
        return [csv, *filter(is_image, paths)]


def _find_v2(root: Path) -> Path | None:
    return next((path for path in (root, root / RELEASE) if mmr_v2.find_files(path)), None)


def _find_csv(root: Path) -> Path:
    for folder in (root, root / RELEASE):
        for name in CSV_NAMES:
            if (folder / name).is_file():
                return folder / name
    raise InputError(
        f"{root}: no {' or '.join(CSV_NAMES)} and no data/instances/<task>.parquet in this folder; "
        "set source.path to a folder with the layout of a release"
    )


def _image_folder(dataset: pd.Series) -> pd.Series:
    return dataset.map(lambda name: IMAGE_FOLDERS.get(name, name))


def _find_images(
    cells: pd.DataFrame, dataset: pd.Series, number: pd.Series, root: Path, csv: Path
) -> pd.Series:
    """Find each sample's image by ``img_path``, else by its data set's folder and its id.

    Warns where ``img_path`` names no file.
    """
    index = index_by_tail(list_images(root))
    folder = _image_folder(dataset)
    images = pd.Series(None, index=cells.index, dtype=object)
    for suffix in RELEASE_SUFFIXES:
        images = images.where(images.notna(), (folder + "/" + number + suffix).map(index))
    if "img_path" in cells:
        named = relative_paths(cells["img_path"], csv.parent, csv)
        images = images.where(named == "", named.map(index))
        lost = named[(named != "") & images.isna()]
        if len(lost):
            warnings.warn(
                f"{csv}: column 'img_path': {len(lost):,} of {(named != '').sum():,} images named "
                f"there are no files, such as {lost.iloc[0]!r:.80} of {lost.index[0]!r:.80}; their "
                "samples have no image",
                stacklevel=2,
            )
    return images
