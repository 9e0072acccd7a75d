"""What every metric says of itself; its record stands beside the function that computes it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure, as result tables and the report name it.

    Attributes
    ----------
    name
        In the tables for programs.
    title
        For people.
    lower_is_better
        Whether the best router is the one of the smallest value.
    shown
        Whether the report shows it where a reader looks first.
    against_zero
        Whether it compares with the row ``zero``, which has 0 itself: tables then tell
        whether it differs from 0.
    atoms
        Whether many resamples have one and the same value, infinity or a bound: see
        ``inference.interval``.
    infinite
        Whether it is infinite where what it asks for is never reached. Its average over data
        sets is the share of those where it is reached.
    """

    name: str
    title: str
    lower_is_better: bool = False
    shown: bool = False
    against_zero: bool = False
    atoms: bool = False
    infinite: bool = False
