"""What an answer is worth, judged once it is there: the ex-post utility that a cascade stops by.

A judge never sees whether an answer is right. It sees the answer's form, which of the models
asked so far say the same or something else, and what was predicted of them before.
"""

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mmroute.experiments.uncertainty import answer_codes, normalised
from mmroute.outcomes.splits import fold_of

ORDERS = 4
"""Random orders in which the models of each training sample are asked, to learn from."""
_CERTAIN = 0.99
"""Predicted utilities are kept between this and its complement, for finite log odds."""
_FINAL = re.compile(r"(?:####|^A(?:nswer)?:|answer is:?|\\boxed\{)\s*([^\n}]+)", re.M | re.I)
_DECLINES = re.compile(
    r"cannot|can['’]t|unable|notable|sorry|asanai|impossibleto|insufficient|moreinformation"
    r"|(?:not|n['’]t)(?:provide|contain|enough|clear)"
)
_OPTION = re.compile("[a-z]")
_NUMBER = re.compile("[+-]?[0-9]+(/[0-9]+)?")
_FORM = 5


@dataclass(frozen=True)
class Answers:
    """The answers of K models to N samples.

    Attributes
    ----------
    form
        (N, K, 5) of each answer: whether there is one, the logarithm of one more than its
        characters, whether it declines to answer, is an option letter, is a number.
    codes
        (N, K) integers, alike for alike answers, -1 where there is none.
    """

    form: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, prediction: np.ndarray) -> Self:
        r"""Read (N, K) answers, None where there is none.

        Of a derivation the answer is what follows its last ``A:``, "answer is", ``####`` or
        ``\boxed``, if it has one.
        """
        place, texts = pd.factorize(prediction.ravel())
        form = np.array([*map(_form, texts), np.zeros(_FORM)])
        final = np.array([*map(_final, texts), None], object)
        return cls(
            form[place].reshape(*prediction.shape, _FORM),
            answer_codes(final[place].reshape(prediction.shape)),
        )

    def take(self, rows: np.ndarray | slice) -> "Answers":
        """Return the answers to some samples."""
        return Answers(self.form[rows], self.codes[rows])


def _final(text: str) -> str:
    marked = _FINAL.findall(text)
    return marked[-1] if marked else text


def _form(text: str) -> np.ndarray:
    answer = normalised(_final(text))
    declines = _DECLINES.search("".join(text.casefold().split()))
    kinds = _OPTION.fullmatch(answer), _NUMBER.fullmatch(answer)
    return np.array([bool(answer), np.log1p(len(text)), *map(bool, (declines, *kinds))], float)


def seen(answers: Answers, u_hat: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What a judge sees of each answer, with log odds those of the utilities predicted before.

    Parameters
    ----------
    answers
        To n samples.
    u_hat
        (n, K) utilities as predicted before any model was asked.
    asked
        (n, K) which models were.

    Returns
    -------
    (n, K, 14), of use where a model was asked: its log odds; how many others were asked, say
    the same, and say another thing together; the log odds of those that say the same, added
    up; whether there are any, and that for an option letter; whether another answer was given,
    and the log odds behind the best supported one; the form.
    """
    odds = logit(np.clip(u_hat, 1 - _CERTAIN, _CERTAIN))
    codes = np.where(asked, answers.codes, -1)
    told = codes >= 0
    same = (codes[:, :, None] == codes[:, None]) & told[:, None]
    size, support = same.sum(axis=2), (same * odds[:, None]).sum(axis=2)
    other = told[:, None] & ~same
    rival = np.where(other, support[:, None], -np.inf).max(axis=2)
    contested = np.isfinite(rival)
    backed = size > 1
    facts = [
        odds,
        asked.sum(axis=1, keepdims=True) - asked,
        np.maximum(size - 1, 0),
        np.where(other, size[:, None], 0).max(axis=2),
        np.where(told, support - odds, 0),
        backed,
        backed * answers.form[:, :, 3],
        contested,
        np.where(contested, rival, 0),
    ]
    return np.concatenate([np.stack(facts, axis=2), answers.form], axis=2)


@dataclass(frozen=True)
class Judge:
    """A judge that has learned on training answers.

    Attributes
    ----------
    regression
        Logistic, of utility on what is ``seen``.
    deviation
        (K,) root mean square of what its utilities differ by from those predicted before, on
        samples of folds that it did not learn on.
    """

    regression: Pipeline
    deviation: np.ndarray

    @classmethod
    def of(
        cls,
        answers: Answers,
        u_hat: np.ndarray,
        utility: np.ndarray,
        groups: pd.Series,
        depth: int,
        seed: int,
    ) -> Self:
        """Learn from n training samples, the models of each asked in some random orders.

        Parameters
        ----------
        answers, u_hat, utility
            Answers, (n, K) cross-fitted predictions and utilities, both NaN where missing.
        groups
            (n,) keys of the samples' groups, which no fold cuts.
        depth
            The most models that are asked of a sample.
        seed
            Of the orders.
        """
        usable = np.isfinite(utility) & np.isfinite(u_hat)
        drawn = np.random.default_rng(seed).random((ORDERS, *utility.shape))
        place = np.where(usable, drawn, np.inf).argsort(axis=2).argsort(axis=2)
        states = [usable & (own < size) for own in place for size in range(1, depth + 1)]
        known = np.where(usable, u_hat, 0)
        told = np.concatenate([seen(answers, known, asked)[asked] for asked in states])
        sample, model = np.concatenate([np.nonzero(asked) for asked in states], axis=1)
        right, fold = utility[sample, model], fold_of(groups)[sample]
        apart = np.zeros(len(told))
        for own in np.unique(fold):
            held = fold == own
            if not held.all():
                ex_post = _probability(_fitted(told[~held], right[~held]), told[held])
                apart[held] = ex_post - u_hat[sample[held], model[held]]
        squares, count = (
            np.bincount(model, weights, minlength=utility.shape[1]) for weights in (apart**2, None)
        )
        return cls(_fitted(told, right), np.sqrt(squares / np.maximum(count, 1)))

    def utilities(self, answers: Answers, u_hat: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return (n, K) ex-post utilities, -inf where a model was not asked; as for ``seen``."""
        ex_post = np.full(asked.shape, -np.inf)
        if asked.any():
            ex_post[asked] = _probability(self.regression, seen(answers, u_hat, asked)[asked])
        return ex_post


def _fitted(told: np.ndarray, right: np.ndarray) -> Pipeline:
    """Fit utilities within [0, 1]: each answer counts as right and as wrong, by its utility."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(
        np.concatenate([told, told]),
        np.repeat([1, 0], len(told)),
        logisticregression__sample_weight=np.concatenate([right, 1 - right]),
    )


def _probability(regression: Pipeline, told: np.ndarray) -> np.ndarray:
    return regression.predict_proba(told)[:, 1]
