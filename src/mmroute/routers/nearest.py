"""The training samples nearest to a query in cosine distance.

Of up to ``EXHAUSTIVE`` all are compared. More are put into lists of similar ones by faiss (an
inverted file: Sivic and Zisserman, ICCV 2003), and as many lists are searched as it takes to find
``RECALL`` of the nearest, measured on samples held out. Where comparing all is less work than
that, faiss compares all.
"""

import logging
import math
from collections.abc import Iterator
from functools import partial
from threading import Lock
from weakref import finalize

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from mmroute.errors import naming_extra

EXHAUSTIVE = 100_000
"""The most training samples that are all compared, whatever they are like."""
RECALL = 0.99
"""The share of the k nearest that is found at least: the lower end of a 95 % interval."""
HELD_OUT = 1000
"""Samples on which the recall is measured."""
AT_ONCE = 10_000
"""Queries that are looked up at once."""
MOST_SEARCHED = 1 / 32
"""Of the lists: to compare all samples, which is a product of matrices, is quicker than more."""
_EQUAL = 1e-6
"""Cosines that differ by less are equal in single precision."""

logger = logging.getLogger("mmroute")


def nearest(
    features: np.ndarray, Z: np.ndarray, n_neighbors: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Look up the k = ``n_neighbors`` features nearest to each row of Z, or all if they are fewer.

    Yields
    ------
    For each ``AT_ONCE`` rows of Z: (rows, k) cosine distances, ascending, and indices of features.

    Raises
    ------
    InputError
        If there are more than ``EXHAUSTIVE`` features, and faiss is not installed.
    """
    n_neighbors = min(n_neighbors, len(features))
    if len(features) <= EXHAUSTIVE:
        search = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine").fit(features).kneighbors
    else:
        search = partial(_lists_of(features, n_neighbors).search, features)
    for start in range(0, len(Z), AT_ONCE):
        yield search(Z[start : start + AT_ONCE])


class Lists:
    """Features in lists of similar ones. One thread makes and searches them: equal bytes anywhere.

    Parameters
    ----------
    features
        (n, d), n > ``HELD_OUT``.
    n_neighbors
        k, at most n.

    Attributes
    ----------
    searched
        How many of the ``n_lists`` are searched for a query; None: all features are compared.
    recall
        Mean share of the k nearest that is found, over the samples held out.
    """

    def __init__(self, features: np.ndarray, n_neighbors: int) -> None:
        with naming_extra(f"a search among {len(features):,} training samples"):
            import faiss

        self._faiss, self._n_neighbors = faiss, n_neighbors
        self._norms = _norms(features)
        self._order = np.random.default_rng(0).permutation(len(features))
        unit = normalize(features.astype(np.float32, copy=False)[self._order], copy=False)
        self.n_lists = 2 * math.isqrt(len(features))
        width, cosine = features.shape[1], faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, self.n_lists, cosine)
        self._index.cp.niter, self._index.cp.max_points_per_centroid = 10, 64
        faiss.omp_set_num_threads(1)
        rest, held = unit[:-HELD_OUT], unit[-HELD_OUT:]
        self._index.train(rest)
        self._index.add(rest)
        self.searched, self.recall = self._effort(held, rest)
        if self.searched:
            self._index.add(held)
        else:
            self._all = unit
            del self._index
        logger.info(
            "the %d nearest of %s training samples: %s, recall %.4f",
            n_neighbors,
            f"{len(features):,}",
            f"{self.searched} of {self.n_lists} lists" if self.searched else "all are compared",
            self.recall,
        )

    def _effort(self, held: np.ndarray, rest: np.ndarray) -> tuple[int | None, float]:
        """Return how many lists to search, and the recall on the samples held out."""
        least = self._compared(held, rest)[0][:, -1:] - _EQUAL
        for exponent in range(int(math.log2(max(self.n_lists * MOST_SEARCHED, 1))) + 1):
            self._index.nprobe = 2**exponent
            share = (self._index.search(held, self._n_neighbors)[0] >= least).mean(axis=1)
            recall = share.mean()
            if recall - 2 * share.std() / math.sqrt(len(held)) >= RECALL:
                return self._index.nprobe, float(recall)
        return None, 1.0

    def _compared(self, queries: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cosines and indices of the nearest of all samples."""
        cosine = self._faiss.METRIC_INNER_PRODUCT
        found: tuple[np.ndarray, np.ndarray] = self._faiss.knn(
            queries, samples, self._n_neighbors, metric=cosine
        )
        return found

    def search(self, features: np.ndarray, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, k) cosine distances of the nearest found, ascending, and their indices.

        Parameters
        ----------
        features
            Those that the lists were made of, which they do not hold.
        Z
            (N, d) queries.
        """
        # A setting of each thread, and of faiss alone. With more, macOS bears no OpenMP beside it.
        self._faiss.omp_set_num_threads(1)
        queries = normalize(Z.astype(np.float32))
        if self.searched is None:
            _, found = self._compared(queries, self._all)
        else:
            _, found = self._index.search(queries, self._n_neighbors)
            short = (found < 0).any(axis=1)
            if short.any():
                every = self._faiss.SearchParametersIVF()
                every.nprobe = self.n_lists
                _, found[short] = self._index.search(
                    queries[short], self._n_neighbors, params=every
                )
        found = self._order[found]
        # In double precision, as a vote may weigh one over its distance.
        cosine = np.empty(found.shape)
        for row, query, neighbours in zip(cosine, Z.astype(np.float64), found, strict=True):
            row[:] = features[neighbours].astype(np.float64) @ query
        cosine /= _norms(Z)[:, None] * self._norms[found]
        distance = np.clip(1 - cosine, 0, 2)
        order = np.lexsort((found, distance))
        return np.take_along_axis(distance, order, 1), np.take_along_axis(found, order, 1)


def _norms(rows: np.ndarray) -> np.ndarray:
    """Return (N,) lengths, 1 of a row of zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    return np.where(lengths > 0, lengths, 1.0)


_kept: dict[tuple[int, int], Lists] = {}
_making = Lock()


def _lists_of(features: np.ndarray, n_neighbors: int) -> Lists:
    """Return the lists, made once for as long as the array of features lasts.

    They are not stored: to read them, faiss would have to trust a stranger's file.
    """
    key = id(features), n_neighbors
    with _making:
        if key not in _kept:
            _kept[key] = Lists(features, n_neighbors)
            finalize(features, _kept.pop, key, None)
        return _kept[key]
