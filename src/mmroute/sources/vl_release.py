"""The VL-RouterBench release: VLMEvalKit's outputs and judgements, in one archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmroute.errors import InputError
from mmroute.hub import download
from mmroute.outcome_table import OutcomeTable
from mmroute.sources import image_tables
from mmroute.sources.archives import unpack
from mmroute.sources.release import ArchivedRelease
from mmroute.sources.survey import Recognised, Survey
from mmroute.sources.vlmevalkit import LINK, WorkFile, read_outcomes, scan
from mmroute.storage import link_to

ARCHIVE_NAME = "vlm_router_data.tar.gz"
FOLDER_NAME = "vlm_router_data"
EVALUATION = "VLMEvalKit_evaluation"
INFERENCE = "VLMEvalKit_inference"
IMAGES = "TSV_images"
UNPACKED = "unpacked"
IMAGE_TOKENS = 256
"""Prompt tokens of an image for every model: ``routers/utils/token_stats_batch.py`` of
https://github.com/yutao1024/SCOPE-Router."""

SCENARIOS = {
    "MMBench_DEV_EN_V11": "General",
    "MMStar": "General",
    "MMMU_DEV_VAL": "General",
    "RealWorldQA": "General",
    "InfoVQA_VAL": "General",
    "HallusionBench": "General",
    "MathVista_MINI": "STEM",
    "MathVision_MINI": "STEM",
    "MathVerse_MINI": "STEM",
    "AI2D_TEST": "STEM",
    "ChartQA_TEST": "Charts & OCR",
    "DocVQA_VAL": "Charts & OCR",
    "TextVQA_VAL": "Charts & OCR",
    "OCRBench": "Charts & OCR",
}


class VlRelease(ArchivedRelease):
    """The VL-RouterBench release, or any data in its layout.

    ``VLMEvalKit_evaluation`` and ``VLMEvalKit_inference`` are read as VLMEvalKit work
    directories (see ``mmroute.sources.vlmevalkit``): the judgements from the first, the
    answers and their lengths from the second. As published an image counts 256 prompt tokens,
    for every model. Text is counted at 4 bytes a token; the published code has the byte-pair
    tokenizer cl100k, which would be a download of its own.

    Parameters
    ----------
    path
        A folder with ``vlm_router_data.tar.gz``, or with what it holds.
    """

    name = "vl_release"

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the archive or the folder of judgements by their names."""
        own = ARCHIVE_NAME in there.names or any(
            name.removeprefix(f"{FOLDER_NAME}/").startswith(f"{EVALUATION}/")
            for name in there.names
        )
        return Recognised({"path": str(there.root)}) if own else None

    @property
    def wanted(self) -> str:
        """The archive's name, and what it holds."""
        return f"{ARCHIVE_NAME} or {EVALUATION}"

    def local_files(self) -> list[Path]:
        """List the archive, or all that it would unpack to; none for a hub."""
        if self.path is None:
            return []
        data = _find_data(Path(self.path))
        if data is None:
            return [_require_archive(Path(self.path))]
        files = [file.path for tree in (EVALUATION, INFERENCE) for file in _scan(data / tree)]
        return [*files, *_tables(data).values()]

    def image_names(self) -> Iterator[str]:
        """Read the paths that the image tables hold in place of images."""
        data = None if self.path is None else _find_data(Path(self.path))
        for table in () if data is None else _tables(data).values():
            yield from image_tables.named_files(table)

    def image_files(self, names: Sequence[str]) -> list[Path]:
        """List the files that the image tables name."""
        return list(map(Path, names))

    def fetch(self, folder: Path) -> Path:
        """Download the release, or point at the local one; unpack it, make files of its images.

        ``folder/release`` then links to what was unpacked, and the images lie in
        ``folder/images``. Only a local release that is unpacked and has no image tables
        is its own root.
        """
        if self.path is None:
            download(self.repo, self.revision, folder, self._choose)
            archive, data = folder / ARCHIVE_NAME, None
        else:
            data = _find_data(Path(self.path))
            archive = Path(self.path) / ARCHIVE_NAME
        if data is None:
            unpack(
                _require_archive(archive.parent),
                folder / UNPACKED,
                max_members=self.max_members,
                max_bytes=self.max_gigabytes * 1e9,
            )
            data = _find_data(folder / UNPACKED)
            if data is None:
                raise InputError(f"{archive}: no {EVALUATION} in it; use another archive")
        tables = _tables(data)
        if data.is_relative_to(folder) or tables:
            folder.mkdir(parents=True, exist_ok=True)
            image_tables.extract(tables, folder)
            link_to(folder / LINK, data)
            return folder
        return data

    def origin(self, root: Path) -> Path:
        """Return the folder of the judged files."""
        data = _find_data(root)
        if data is None:
            raise InputError(f"{root}: no {EVALUATION} in this folder; fetch the release again")
        return data / EVALUATION

    def read(self, root: Path) -> OutcomeTable:
        """Read each model's judgements and answers."""
        evaluation = self.origin(root)
        judged, raw = _scan(evaluation), _scan(evaluation.parent / INFERENCE)
        return read_outcomes(evaluation, judged, raw, SCENARIOS, root, self.group, IMAGE_TOKENS)

    def _choose(self, paths: Sequence[str]) -> list[str]:
        if ARCHIVE_NAME not in paths:
            raise InputError(
                f"source.repo: {self.repo!r} at revision {self.revision!r} has no {ARCHIVE_NAME}; "
                "name a data set with the release's layout"
            )
        return [ARCHIVE_NAME]


def _scan(folder: Path) -> list[WorkFile]:
    return scan(folder, SCENARIOS)


def _tables(data: Path) -> dict[str, Path]:
    datasets = sorted({file.dataset for file in _scan(data / EVALUATION)})
    return image_tables.find_tables([data / IMAGES], datasets)


def _find_data(root: Path) -> Path | None:
    """Find the folder that the evaluation lies in, at or just below ``root``."""
    for folder in (root, root / FOLDER_NAME, root / LINK):
        if (folder / EVALUATION).is_dir():
            return folder
    return None


def _require_archive(folder: Path) -> Path:
    if not (folder / ARCHIVE_NAME).is_file():
        raise InputError(
            f"{folder}: neither {ARCHIVE_NAME} nor {EVALUATION} in this folder; set source.path "
            "to the release's folder"
        )
    return folder / ARCHIVE_NAME
