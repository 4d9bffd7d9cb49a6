"""The data of the example networks: seeded, split, balanced; the networks themselves need torch."""

import numpy as np
import pytest

from examples.networks import data


@pytest.mark.parametrize("name", data.MAKERS)
def test_the_data_is_the_same_each_time_and_no_split_shares_a_sample(name):
    first, labels = data.make(name, "test", 12)
    again, _ = data.make(name, "test", 12)
    other, _ = data.make(name, "calibration", 12)
    assert np.array_equal(first, again)
    assert not any(np.array_equal(a, b) for a in first for b in other)
    assert np.isfinite(first).all()
    assert first.dtype == np.float32
    assert labels.dtype == np.int64


@pytest.mark.parametrize(("name", "classes"), [("shapes", 6), ("keywords", 6)])
def test_every_class_has_its_turn(name, classes):
    _, labels = data.make(name, "test", 2 * classes)
    assert np.bincount(labels).tolist() == [2] * classes


def test_a_scene_has_ground_discs_and_squares():
    _, labels = data.make("blobs", "test", 20)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert labels.shape == (20, 48, 48)
