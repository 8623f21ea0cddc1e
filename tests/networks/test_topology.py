"""Poolings and kernels against configurations that nnU-Net is known to plan."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.errors import InputError
from clbench.networks.topology import unet_topology


def test_hippocampus_pools_three_times_along_each_axis():
    topology = unet_topology((40, 56, 40), (1.0, 1.0, 1.0))
    assert topology.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert topology.kernels == ((3, 3, 3),) * 4
    assert topology.divisor == (8, 8, 8)


def test_cardiac_slices_get_six_stages():
    topology = unet_topology((256, 224), (1.56, 1.56))
    assert topology.pools == 5
    assert topology.divisor == (32, 32)


def test_thick_prostate_slices_are_not_mixed_before_the_others_are_as_coarse():
    topology = unet_topology((20, 320, 256), (3.6, 0.62, 0.62))
    assert topology.strides == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
    assert topology.kernels == ((1, 3, 3), (1, 3, 3), *((3, 3, 3),) * 5)


def test_the_order_of_the_axes_does_not_matter():
    first, last = unet_topology((20, 320, 256), (3.6, 0.62, 0.62)), unet_topology((320, 256, 20), (0.62, 0.62, 3.6))
    assert last.strides == tuple((y, z, x) for x, y, z in first.strides)
    assert last.kernels == tuple((y, z, x) for x, y, z in first.kernels)


def test_unknown_spacing_counts_as_one_millimeter():
    assert unet_topology((64, 64), (0.0, 0.0)) == unet_topology((64, 64), (1.0, 1.0))


@pytest.mark.parametrize(("most", "pools"), [(1, 1), (3, 3), (None, 5), (9, 5)])
def test_poolings_can_be_limited(most, pools):
    assert unet_topology((128, 128), (1.0, 1.0), max_pools=most).pools == pools


def test_a_single_axis_is_pooled_alone_only_while_it_is_long():
    assert unet_topology((12, 4), (1.0, 1.0), max_pools=1).strides == ((1, 1), (2, 1))
    with pytest.raises(InputError, match="too small"):
        unet_topology((8, 4), (1.0, 1.0))


sizes = st.lists(st.integers(12, 200), min_size=2, max_size=3)
spacings = st.lists(st.floats(0.2, 8.0), min_size=3, max_size=3)


@given(patch=sizes, spacing=spacings)
def test_every_topology_divides_its_patch_and_keeps_four_voxels(patch, spacing):
    try:
        topology = unet_topology(patch, spacing[: len(patch)])
    except InputError as error:
        patch = [int(number) for number in re.findall(r"\d+", str(error).rpartition("use ")[2])]
        topology = unet_topology(patch, spacing[: len(patch)])  # the size the error proposes is accepted
    pairs = list(zip(patch, topology.divisor, strict=True))
    assert all(size % divisor == 0 and size // divisor >= 4 for size, divisor in pairs)
    assert topology.strides[0] == (1,) * len(patch)
    assert topology.kernels[-1] == (3,) * len(patch)
    assert len(topology.kernels) == len(topology.strides)


def test_a_patch_that_its_poolings_do_not_divide_is_refused_with_a_better_one():
    with pytest.raises(InputError, match=r"\(180, 180\) must be a multiple of \(32, 32\); use \(192, 192\)"):
        unet_topology((180, 180), (1.0, 1.0))


def test_a_patch_too_small_to_pool_is_refused():
    with pytest.raises(InputError, match="too small"):
        unet_topology((7, 7), (1.0, 1.0))


def test_patch_and_spacing_must_have_as_many_axes():
    with pytest.raises(InputError, match="differ in length"):
        unet_topology((64, 64), (1.0, 1.0, 1.0))
