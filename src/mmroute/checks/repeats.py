"""Questions of the test split that the training split has too, or nearly has."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mmroute.checks.remark import Remark, counted, some
from mmroute.outcomes.splits import salts_of

LIKENESS = 0.9
"""Jaccard index of shingles from which two questions are near-duplicates."""
SHINGLE = 5
"""Characters of a shingle."""
FEWEST_SHINGLES = 10
"""A question of which less than this is left has no near-duplicates."""
BOILERPLATE = 20
"""With fewer templates in a data set, no shingle counts as what most of them have."""
MOST_SHINGLES = 4_000_000
MOST_PAIRS = 1_000_000


def repeats(samples: pd.DataFrame, splits: pd.DataFrame, files: str) -> Iterator[Remark]:
    """Look for leaks from the test split, under the first salt, into the training split.

    Case, white space and, for likeness, the digits of numbers do not count. Of alike
    questions with the same numbers one is a near-duplicate of the other; with other
    numbers they may have no more in common than a template.
    """
    words = samples["question"].str.casefold().str.split().str.join(" ")
    template = words.str.replace(r"\d+", "0", regex=True)
    image = pd.factorize(samples["image_digest"].fillna(""))[0]
    asked = pd.DataFrame(
        {
            "sample": samples["sample_id"],
            "dataset": samples["dataset"],
            "in_train": salts_of(splits).iloc[:, 0].to_numpy(),
            "image": image,
            "same": pd.factorize(words + "\0" + image.astype("str"))[0],
            "numbers": words.str.findall(r"\d+").str.join(" "),
            "template": template,
            "like": pd.factorize(template + "\0" + image.astype("str"))[0],
        }
    )
    columns = ["sample", "same", "like", "numbers"]
    tested = asked.loc[~asked["in_train"], columns]
    trained = asked.loc[asked["in_train"], columns].rename(columns={"sample": "twin"})
    alike, limits = _likeness(asked)
    same = tested.merge(trained.drop_duplicates("same")[["same", "twin"]], on="same")
    near = tested[~tested["sample"].isin(same["sample"])].merge(alike, on="like")
    trained = trained.drop_duplicates(["like", "numbers"])[["like", "numbers", "twin"]]
    near = near.merge(trained.rename(columns={"like": "liked"}), on=["liked", "numbers"])
    asks = "question and image are" if samples["image"].notna().any() else "question is"
    for pairs, limited, what in (
        (same, "", f"whose {asks} in the training split too"),
        (near, limits, "that a training sample is a near-duplicate of"),
    ):
        own = pairs.drop_duplicates("sample")
        message = f"{len(own):,} of {counted(len(tested), 'test sample')} {what}{limited}"
        if len(own):
            examples = some((f"{one.sample} and {one.twin}" for one in own.itertuples()), 3)
            cure = f"in {files}: remove one of each two"
            yield Remark("warning", f"{message}: {examples}", cure)
        elif limited:
            yield Remark("note", message)


def _likeness(asked: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return which templates, ``like``, are like which, ``liked``; each is like itself.

    Beside it what limits the search, in words.
    """
    split_sides = asked.groupby("like")["in_train"]
    templates = asked.drop_duplicates("like").assign(
        trains=split_sides.any().to_numpy(), tests=~split_sides.all().to_numpy()
    )
    crowded = templates[templates["image"].duplicated(keep=False)]
    first, second, limits = _similar(crowded)
    own, codes = templates["like"].to_numpy(), crowded["like"].to_numpy()
    like = np.concatenate([own, codes[first], codes[second]])
    liked = np.concatenate([own, codes[second], codes[first]])
    return pd.DataFrame({"like": like, "liked": liked}), limits


def _similar(templates: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, str]:
    """Return pairs of rows of one image that share ``LIKENESS`` of their shingles.

    A shingle in most of a data set's templates is boilerplate and does not count. Two
    sets of a Jaccard index of t share one of the rarest (1 - t) n + 1 members of each, so
    only rows that do are compared. Where that would be more than ``MOST_PAIRS`` pairs,
    those that share the rarest come first. The last value says so, and of an estimate.
    """
    count = len(templates)
    owner, shingle, step = _shingles(templates["template"])
    boring = np.zeros(len(owner), bool)
    for _, rows in templates.reset_index().groupby("dataset", sort=False):
        if len(rows) >= BOILERPLATE:
            own = np.isin(owner, rows.index)
            boring[own] = (np.bincount(shingle[own]) > len(rows) / 2)[shingle[own]]
    size = np.bincount(owner[~boring], minlength=count)
    size[size < FEWEST_SHINGLES] = 0
    kept = ~boring & (size[owner] > 0)
    owner, shingle = owner[kept], shingle[kept]
    rank = np.arange(len(owner)) - (np.cumsum(size) - size)[owner]
    rare = rank <= size[owner] - np.ceil(LIKENESS * size[owner])
    place = pd.DataFrame({"image": templates["image"].to_numpy()[owner], "shingle": shingle})[rare]
    place = place.groupby(["image", "shingle"], sort=False).ngroup().to_numpy()
    first, second, whole = _pairs(owner[rare], place)
    trains, tests = templates["trains"].to_numpy(), templates["tests"].to_numpy()
    apart = (trains[first] & tests[second]) | (tests[first] & trains[second])
    smaller, larger = np.sort([size[first], size[second]], axis=0)
    candidate = apart & (smaller >= LIKENESS * larger)
    pairs = np.unique(first[candidate] * count + second[candidate])
    limits = [f"only the likeliest {MOST_PAIRS:,} pairs were compared"] * (not whole)
    limits += [f"estimated from about 1 in {step} runs of {SHINGLE} characters"] * (step > 1)
    said = f" ({'; '.join(limits)})" if limits else ""
    return *_compared(owner, shingle, size, *np.divmod(pairs, max(1, count))), said


def _shingles(texts: pd.Series) -> tuple[np.ndarray, np.ndarray, int]:
    """Return each text's distinct shingles, as numbers, the rarest ones first.

    Beyond ``MOST_SHINGLES`` of all texts together, those with the same remainder of their
    hash stand for all: one in as many as the last value says.
    """
    lengths = texts.str.len().to_numpy(int)
    step = 1 + int(lengths.sum() // MOST_SHINGLES)
    owners, hashes = [], []
    for rows in np.array_split(np.arange(len(texts)), step):
        text = "".join(texts.iloc[rows]).encode("utf-32-le", "surrogatepass")
        points = np.frombuffer(text, np.uint32).astype(np.uint64)
        owner = np.repeat(rows, lengths[rows])
        hashed = np.zeros(max(0, len(points) - SHINGLE + 1), np.uint64)
        for offset in range(SHINGLE):
            hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + points[offset:][: len(hashed)]
        whole = owner[: len(hashed)] == owner[SHINGLE - 1 :]
        kept = whole & ((hashed >> np.uint64(32)) % np.uint64(step) == 0)
        owners.append(owner[: len(hashed)][kept])
        hashes.append(hashed[kept])
    code, distinct = pd.factorize(np.concatenate(hashes))
    rarity = np.empty(len(distinct), int)
    rarity[np.argsort(np.bincount(code), kind="stable")] = np.arange(len(distinct))
    pairs = np.unique(np.concatenate(owners) * len(distinct) + rarity[code])
    return *np.divmod(pairs, max(1, len(distinct))), step


def _pairs(owner: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the pairs of owners, ascending, that have a place in common, smallest places first.

    The last value tells whether these are all.
    """
    order = np.lexsort((owner, place))
    owner, size = owner[order], np.bincount(place)
    start = np.cumsum(size) - size
    firsts, seconds = [np.empty(0, int)], [np.empty(0, int)]
    left, whole = MOST_PAIRS, True
    for members in np.unique(size[size > 1]):
        each = members * (members - 1) // 2
        every = start[size == members]
        starts = every[: left // each]
        left -= len(starts) * each
        whole &= len(starts) == len(every)
        # Of such a place, not even the indices may fit into memory.
        if not len(starts):
            break
        first, second = np.triu_indices(members, 1)
        firsts.append(owner[starts[:, None] + first].ravel())
        seconds.append(owner[starts[:, None] + second].ravel())
    return np.concatenate(firsts), np.concatenate(seconds), whole


def _compared(
    owner: np.ndarray, shingle: np.ndarray, size: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return those pairs whose sets of shingles have a Jaccard index of ``LIKENESS``."""
    from scipy.sparse import csr_array

    bounds = np.concatenate([[0], np.cumsum(size)])
    ones = np.ones(len(owner), np.int32)
    sets = csr_array((ones, shingle, bounds), shape=(len(size), int(shingle.max(initial=0)) + 1))
    shared = np.zeros(len(first), int)
    for start in range(0, len(first), 20_000):
        rows = slice(start, start + 20_000)
        shared[rows] = sets[first[rows]].multiply(sets[second[rows]]).sum(axis=1)
    alike = shared >= LIKENESS * (size[first] + size[second] - shared)
    return first[alike], second[alike]
