"""How a script of the workflow ends: well, or with one line that says what to put right."""

import logging
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmroute.confined import Limits, go_on_confined, out_of_memory
from mmroute.errors import DamagedFile, InputError, plain, refusal
from mmroute.storage import examine, is_file, output_of

logger = logging.getLogger("mmroute")


class _Plain(logging.Formatter):
    """Writes text from data so that it cannot steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with what is not printable spelled out."""
        return plain(super().format(record))


def _log_to(*handlers: logging.Handler) -> None:
    for handler in handlers:
        handler.setFormatter(_Plain())
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.captureWarnings(True)
    logger.setLevel(logging.INFO)


@contextmanager
def job(snakemake: Any, confined: bool = False) -> Iterator[None]:
    """Send the package's messages to the job's log and stderr, and report bad input in one line.

    An InputError, or a file that the system refuses, ends the process with exit
    code 1 and no traceback; a damaged file of the workflow's own is moved aside, and so
    are the job's other inputs that are damaged, see ``set_aside``. Anything else is a
    defect of the program and keeps its traceback.

    Parameters
    ----------
    snakemake
        The job, as Snakemake describes it to the script.
    confined
        Whether the job reads files that others made. The block, and what follows it, then
        runs in a child with the config's ``limits``; this process waits and ends as it does.
    """
    # A log that a full disk has no room for is no reason for a traceback.
    logging.raiseExceptions = False
    _log_to(logging.StreamHandler())
    log = snakemake.log[0]
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        _log_to(logging.StreamHandler(), logging.FileHandler(log, mode="w", encoding="utf-8"))
        if confined:
            go_on_confined(Limits(**snakemake.config["limits"]))
        yield
    except InputError as error:
        lines: Iterable[str] = [str(error)]
        if isinstance(error, DamagedFile):
            lines = set_aside_all(error, snakemake.input)
        for line in lines:
            logger.error("error: %s", " ".join(line.split()))
        sys.exit(1)
    except MemoryError:
        logger.error("error: %s", out_of_memory())
        sys.exit(1)
    except OSError as error:
        said = refusal(error)
        if said is None:
            raise
        logger.error("error: %s", said)
        sys.exit(1)


def split_of(snakemake: Any) -> tuple[Path, Path, str]:
    """Outcomes, splits and salt of the benchmark that a job works on, as ``read`` takes them."""
    return Path(snakemake.input.outcomes), Path(snakemake.input.splits), snakemake.wildcards.salt


def set_aside_all(error: DamagedFile, inputs: Sequence[str]) -> Iterator[str]:
    """Move one damaged input aside, and then each other one; yield what to tell the user.

    Where one file has rotted others may have, and each would cost a run.
    """
    yield set_aside(error, inputs)
    for given in map(Path, inputs):
        for path in sorted(given.rglob("*")) if given.is_dir() else [given]:
            try:
                # It may have gone with its folder.
                if is_file(path):
                    examine(path)
            except DamagedFile as other:
                yield set_aside(other, inputs)
            except (InputError, OSError) as other:
                logger.warning("%s: not looked at for damage: %s", path, other)


def set_aside(error: DamagedFile, inputs: Iterable[str]) -> str:
    """Move a damaged input out of Snakemake's sight, so that the next run makes it anew.

    What moves is what a job has made as a whole: the file or the folder that it is in; for
    what a download brought into ``name/``, it is ``name.json`` that says it is there.
    It stays beside its old place as ``.<name>.damaged``. A file that belongs to none of
    the inputs stays where it is.

    Parameters
    ----------
    error
        What is wrong with which file.
    inputs
        The inputs of the job.

    Returns
    -------
    str
        What to tell the user.
    """
    output = _output(error.path, map(Path, inputs))
    if output is None:
        return str(error)
    try:
        aside = move_aside(output)
    except FileNotFoundError:
        # It was never there, or another job was faster.
        return f"{error.path}: {error.wrong}; run again, and {output} is made anew"
    except OSError:
        return str(error)
    return (
        f"{error.path}: {error.wrong}; {output} was moved aside as {aside.name}; "
        "run again, and it is made anew"
    )


def move_aside(output: Path) -> Path:
    """Move what a job has made beside its old place as ``.<name>.damaged``; return that path."""
    aside = output.with_name(f".{output.name}.damaged")
    if output.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    output.replace(aside)
    return aside


def _output(path: Path, inputs: Iterable[Path]) -> Path | None:
    """Return what has to go for some input to be made anew, None if it is no part of one."""
    output = output_of(path)
    for given in inputs:
        if given == output or output in given.parents:
            return output
        if given in path.parents or given.with_suffix("") in path.parents:
            return given
    return None
