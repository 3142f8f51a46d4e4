"""Whether two programs say the same about the same pictures: nothing is timed before they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .processes import Failure

Scores = Sequence[Mapping[str, float]]


def check(title: str, scores: Scores, reference: Scores, tolerance: float) -> float:
    """The largest difference of a score. Fails where it is over the tolerance or a category is missing."""
    if [set(row) for row in scores] != [set(row) for row in reference]:
        raise Failure(f"{title} does not answer for the same pictures and categories as espalier.")
    difference = max(abs(row[name] - right[name]) for row, right in zip(scores, reference) for name in right)
    if not difference <= tolerance:  # not a number is a fault, too
        raise Failure(f"{title} is up to {difference:.3g} from espalier's scores; {tolerance:g} was expected. Nothing is timed.")
    return difference
