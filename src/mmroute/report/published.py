"""The papers' own values, to stand beside the reproduced ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.errors import InputError, raise_disk_fault
from mmroute.presentation.tables import REFERENCES

ANY = "any"
"""Router of a published value whose paper does not name it."""


def applies(folder: Path, models: Sequence[str]) -> bool:
    """Whether a pool is the paper's: published values say nothing about another."""
    return set(_read(folder / "models.csv")["model"]) == set(models)


def beside(table: pd.DataFrame, folder: Path, names: Sequence[str]) -> pd.DataFrame:
    """Add a column ``published`` to a table of results.

    Parameters
    ----------
    table
        Results in long form.
    folder
        Where the published tables lie, one CSV each: ``value``, and columns of the results
        that say what it is of.
    names
        The published tables that hold parts of it; one that was not published is empty.

    Raises
    ------
    InputError
        If the file lacks a column or says two values of one thing.
    """
    columns = [_published(table, folder, name) for name in names]
    return table.assign(published=pd.concat(columns, axis=1).bfill(axis=1).iloc[:, 0])


def _published(table: pd.DataFrame, folder: Path, name: str) -> pd.Series:
    path = folder / f"{name}.csv"
    if not path.exists():
        return pd.Series(np.nan, table.index)
    published = _read(path).rename(columns={"value": "published"})
    keys = [column for column in published if column != "published"]
    unknown = set(keys) - set(table)
    if unknown or "published" not in published:
        raise InputError(f"{path}: columns {list(published)} do not fit the table {name}")
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
