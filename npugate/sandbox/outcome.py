"""What came of a piece of work in a process of its own."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Done(Struct, Generic[T], frozen=True):
    """The work came to its end."""

    value: T


class Died(Struct, frozen=True):
    """The work was ended by a crash or a bound.

    Attributes:
        stage, detail: what it was doing, as it last said by ``stage``.
        reason: a phrase such as ``it ran out of memory``.
    """

    stage: str
    detail: str
    reason: str


class Raised(Struct, frozen=True):
    """The work raised: a fault of ours, not of the model.

    Attributes:
        text: the traceback.
    """

    text: str


class Ended(Struct, Generic[T], frozen=True):
    """One piece of work that has ended, and how long it took, in seconds of wall clock."""

    index: int
    outcome: Done[T] | Died | Raised
    seconds: float
