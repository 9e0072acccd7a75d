"""The papers' own values, to stand beside the reproduced ones, each with the protocol it is of."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from mmroute.errors import InputError, raise_disk_fault
from mmroute.presentation.tables import REFERENCES

ANY = "any"
"""Router of a published value whose paper does not name it."""


def paper_of(folder: Path, models: Iterable[str], datasets: Iterable[str]) -> Path | None:
    """The folder of the paper that has this pool and these data sets, if there is one.

    Its values say nothing about others: a mean over fewer data sets is another number.

    Parameters
    ----------
    folder
        Where each paper has a folder.
    models, datasets
        Names of the pool's models and of the data sets.
    """
    wanted = {"model": {*models}, "dataset": {*datasets}}
    for paper in sorted(path for path in folder.iterdir() if path.is_dir()):
        told = {name: set(_read(paper / f"{name}s.csv")[name]) for name in wanted}
        if told == wanted:
            return paper
    return None


def beside(
    table: pd.DataFrame, paper: Path, name: str, protocol: str, settings: Mapping[str, str]
) -> pd.DataFrame:
    """Add what a paper has of a table of results, if it has any of it.

    Parameters
    ----------
    table
        Results in long form.
    paper
        The paper's folder: a CSV for each table, with ``value`` and columns of the results that
        say what it is of, and ``protocols.csv``, with ``table`` and ``protocol``.
    name
        Of the table, here and there.
    protocol
        How the results came about.
    settings
        By router, what it was given; empty: nothing.

    Returns
    -------
    The results, with the columns ``protocol``, ``published`` and ``published_protocol``.

    Raises
    ------
    InputError
        If the file lacks a column or says two values of one thing, or no protocol is given.
    """
    path = paper / f"{name}.csv"
    if not path.exists():
        return table
    values = _published(table, path)
    protocols = _read(paper / "protocols.csv").set_index("table")["protocol"]
    if name not in protocols:
        raise InputError(
            f"{paper / 'protocols.csv'}: no row for the table {name}; give its protocol"
        )
    given = table["router"].map(lambda router: settings.get(router, ""))
    return table.assign(
        protocol=(protocol + "; " + given).where(given != "", protocol),
        published=values,
        published_protocol=pd.Series(protocols[name], table.index).where(values.notna()),
    )


def _published(table: pd.DataFrame, path: Path) -> pd.Series:
    published = _read(path).rename(columns={"value": "published"})
    keys = [column for column in published if column != "published"]
    unknown = set(keys) - set(table)
    if unknown or "published" not in published:
        raise InputError(f"{path}: columns {list(published)} do not fit the table {path.stem}")
    repeated = published[keys].duplicated()
    if repeated.any():
        raise InputError(f"{path}: {published[keys][repeated].iloc[0].to_dict()} stands twice")
    if "minus" in table and "minus" not in keys:
        published, keys = published.assign(minus=""), [*keys, "minus"]
    texts, stated_of = (
        pd.DataFrame({key: frame[key].astype(object).fillna("").astype(str) for key in keys})
        for frame in (table, published)
    )
    published = stated_of.assign(published=published["published"])
    own = texts.merge(published, how="left", on=keys)["published"]
    # Where the paper does not say which router it was, its value stands beside each.
    stated = texts["router"].isin([*published["router"], *REFERENCES])
    nameless = texts.assign(router=ANY).merge(published, how="left", on=keys)["published"]
    return own.where(stated, nameless).set_axis(table.index)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise_disk_fault(error, path)
        raise InputError(f"{path}: not readable as CSV ({error}); restore it") from error
