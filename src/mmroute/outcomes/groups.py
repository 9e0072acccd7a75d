"""Groups: samples that share what a router sees, and that no split, fold or resample cuts.

Variants of one question, turns of one conversation, questions on one image: a router
that has learned from one of them is not asked something new by another (definitions,
section 1). A source says which samples belong together; samples with the same question
and the same image always do.
"""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmroute.storage import digest_bytes


def group_keys(samples: pd.DataFrame) -> pd.Series:
    """The (N,) key of each sample's group.

    It is the digest of the source's ``group`` with its data set, else that of the question
    and the image's bytes (definitions, section 2). Where samples of several declared groups
    have the same question and image these are one, called by the smallest key. So a key
    depends on no order, and a new sample changes the key of others only where it joins
    their groups.

    Parameters
    ----------
    samples
        Columns ``dataset``, ``question``, ``image_digest`` and, empty where the source
        declares none, ``group``.
    """
    content, contents = pd.factorize(
        samples["question"] + "\0" + samples["image_digest"].fillna("")
    )
    in_group = (samples["group"] != "").to_numpy()
    own = samples[in_group]
    # No data set's name has a control character.
    declared, names = pd.factorize(own["dataset"] + "\0" + own["group"])
    size = len(contents) + len(names)
    edges = content[in_group], len(contents) + declared
    graph = coo_array((np.ones(len(declared), np.int8), edges), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    # Each content is in one component with all groups that have it, or alone.
    keys = pd.Series([_digest("group", name) for name in names], dtype=object)
    joined = keys.groupby(component[len(contents) :]).min()
    key = pd.Series(component[: len(contents)]).map(joined).astype(object)
    alone = key.isna().to_numpy()
    key[alone] = [_digest("content", text) for text in contents[alone]]
    return pd.Series(key.to_numpy()[content], samples.index, dtype="str")


def _digest(kind: str, text: str) -> str:
    return digest_bytes(f"{kind}\0{text}".encode("utf-8", "surrogatepass"))
