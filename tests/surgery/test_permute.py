import itertools

import numpy as np
import pytest

from npugate.surgery.permute import MOST_AXES, coalesce, plan

# Fewest transposes of k blocks, worst case over every permutation of n axes that cannot be merged:
# a search over all states gives these, see docs/architecture.md.
WORST = {(4, 3): 2, (5, 3): 3, (5, 4): 2, (6, 3): 4, (6, 4): 3, (6, 5): 2}


def applied(array, perm, k):
    dims = array.shape
    for small, order in plan(dims, perm, k):
        assert len(small) <= k
        array = array.reshape(small).transpose(order)
    return array.reshape([dims[axis] for axis in perm])


@pytest.mark.parametrize("k", [3, 4, 5])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_every_permutation_is_the_one_numpy_makes(count, k):
    dims = (2, 3, 2, 3, 2, 3)[:count]
    array = np.arange(np.prod(dims)).reshape(dims)
    most = 0
    for perm in itertools.permutations(range(count)):
        assert np.array_equal(applied(array, perm, k), array.transpose(perm))
        most = max(most, len(plan(dims, perm, k)))
    assert most == WORST.get((count, k), 1)


@pytest.mark.parametrize("count", [7, 8])
@pytest.mark.parametrize("k", [3, 4, 5])
def test_many_axes_are_split_too(count, k):
    rng = np.random.default_rng(count * k)
    dims = (2,) * count
    array = np.arange(2**count).reshape(dims)
    for _ in range(4):
        perm = tuple(int(axis) for axis in rng.permutation(count))
        assert np.array_equal(applied(array, perm, k), array.transpose(perm))
        assert len(plan(dims, perm, k)) <= 6


def test_axes_of_one_and_neighbours_that_stay_are_merged_first():
    assert coalesce((2, 1, 3, 4), (0, 1, 2, 3)) == ((24,), (0,))
    assert coalesce((2, 1, 3, 4), (2, 3, 0, 1)) == ((2, 12), (1, 0))
    assert coalesce((2, 1, 3), (0, 2, 1)) == ((6,), (0,))
    assert plan((1, 8, 3, 3, 36, 36), (0, 1, 2, 3, 4, 5), 4) == []


def test_more_axes_than_can_be_searched_are_refused():
    count = MOST_AXES + 2
    perm = tuple(range(0, count, 2)) + tuple(range(1, count, 2))
    with pytest.raises(ValueError, match="axes that cannot be merged"):
        plan((2,) * count, perm, 3)
