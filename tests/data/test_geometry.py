"""Geometry: any orientation and spacing to the prepared grid and back."""

import json
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clbench.data.geometry import Geometry, make_geometry, ras_axes, reorder, resize, restore
from clbench.errors import InputError
from clbench.streams.stream import Plan

orientations = st.tuples(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
shapes = st.tuples(*[st.integers(2, 9)] * 3)
spacings = st.tuples(*[st.sampled_from([0.4, 0.7, 1.0, 1.3, 3.0])] * 3)


def affine_of(axes, signs, spacing=(1.0, 1.0, 1.0)):
    """Native axis k runs along RAS axis ``axes[k]`` in direction ``signs[k]``."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for native, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, native] = sign * spacing[native]
    return affine


def plan(dims, spacing=(0.0, 0.0, 0.0)):
    return Plan(dims, spacing, (8,) * dims)


def one_hot(labels, classes=3):
    return (labels == np.arange(classes)[:, None, None, None]).astype(np.float32)


@given(orientations, shapes, spacings, st.sampled_from([2, 3]), st.integers(0, 99))
def test_a_kept_grid_gives_the_native_mask_back_exactly(orientation, shape, spacing, dims, seed):
    mask = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    geometry = make_geometry(shape, affine_of(*orientation, spacing), spacing, plan(dims))
    prepared = geometry.prepare_mask(mask)
    assert prepared.shape == geometry.shape
    assert np.array_equal(geometry.to_native(one_hot(prepared)), mask)


@given(orientations, shapes, spacings, spacings)
def test_scores_on_any_grid_come_back_on_the_native_one(orientation, shape, spacing, target):
    geometry = make_geometry(shape, affine_of(*orientation, spacing), spacing, plan(3, target))
    scores = np.zeros((3, *geometry.shape), dtype=np.float32)
    scores[2] = 1.0
    assert np.array_equal(geometry.to_native(scores), np.full(shape, 2))


@given(orientations, shapes)
def test_restore_undoes_reorder(orientation, shape):
    array = np.arange(2 * np.prod(shape)).reshape(2, *shape)
    axes, flipped = ras_axes(affine_of(*orientation))
    assert np.array_equal(restore(reorder(array, axes, flipped), axes, flipped), array)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product([-1.0, 1.0], repeat=3)))
def test_prepared_axes_run_to_the_right_front_and_top(axes, signs):
    affine = affine_of(axes, signs)
    native = np.stack(np.meshgrid(*map(np.arange, (3, 4, 5)), indexing="ij")).astype(np.float64)
    world = np.einsum("wn,nxyz->wxyz", affine[:3, :3], native)
    right, front, top = reorder(world, *ras_axes(affine))
    assert np.all(np.diff(right, axis=0) == 1)
    assert np.all(np.diff(front, axis=1) == 1)
    assert np.all(np.diff(top, axis=2) == 1)


@pytest.mark.parametrize(
    ("spacing", "last"),
    [((3.0, 1.0, 1.0), 0), ((1.0, 1.5, 1.0), 1), ((1.0, 1.0, 5.0), 2), ((1.4, 1.0, 1.0), 2), ((1.0, 1.0, 1.0), 2)],
)
def test_slices_lie_along_the_thick_axis_or_else_the_files_third(spacing, last):
    geometry = make_geometry((5, 6, 7), np.diag([*spacing, 1.0]), spacing, plan(2))
    assert geometry.axes[2] == last
    assert geometry.shape == tuple((5, 6, 7)[axis] for axis in geometry.axes)


def test_the_files_third_axis_is_meant_before_it_is_oriented():
    geometry = make_geometry((5, 6, 7), affine_of((1, 2, 0), (1, 1, 1)), (1.0, 1.0, 1.0), plan(2))
    assert geometry.axes[2] == 2
    assert geometry.shape == (5, 6, 7)


def test_the_field_of_view_is_kept():
    geometry = make_geometry((10, 10, 6), np.diag([0.6, 0.6, 3.0, 1.0]), (0.6, 0.6, 3.0), plan(2, (1.25, 1.25, 0.0)))
    assert geometry.shape == (5, 5, 6)
    assert np.multiply(geometry.shape, geometry.spacing_mm) == pytest.approx((6.0, 6.0, 18.0))


@pytest.mark.parametrize("target", [0.5, 0.8, 1.3])
def test_a_smooth_object_stays_where_it_is(target):
    grid = np.stack(np.meshgrid(*map(np.arange, (24, 20, 12)), indexing="ij"))
    center = np.array([10.3, 9.1, 5.6]).reshape(3, 1, 1, 1)
    blob = np.exp(-(((grid - center) * [[[[1.0]]], [[[1.0]]], [[[2.0]]]] / 4.0) ** 2).sum(0)).astype(np.float32)
    geometry = make_geometry(blob.shape, np.diag([1.0, 1.0, 2.0, 1.0]), (1.0, 1.0, 2.0), plan(3, (target, target, 2.0)))
    found = geometry.prepare_image(blob[None])[0]
    weights = found / found.sum()
    middle = [(weights * (axis + 0.5)).sum() for axis in np.meshgrid(*map(np.arange, found.shape), indexing="ij")]
    assert np.multiply(middle, geometry.spacing_mm) == pytest.approx((center.ravel() + 0.5) * (1, 1, 2), abs=0.05)


@pytest.mark.parametrize("target", [0.5, 0.8, 1.4])
def test_a_ball_survives_the_way_there_and_back(target):
    grid = np.stack(np.meshgrid(*map(np.arange, (30, 30, 10)), indexing="ij"))
    distance = np.linalg.norm((grid - [[[[15]]], [[[15]]], [[[5]]]]) * [[[[1]]], [[[1]]], [[[3]]]], axis=0)
    mask = (distance < 12).astype(np.uint8) + (distance < 6).astype(np.uint8)
    geometry = make_geometry(mask.shape, np.diag([1.0, 1.0, 3.0, 1.0]), (1.0, 1.0, 3.0), plan(3, (target, target, 3.0)))
    back = geometry.to_native(one_hot(geometry.prepare_mask(mask)))
    for label in (1, 2):
        both = 2 * np.sum((back == label) & (mask == label)) / (np.sum(back == label) + np.sum(mask == label))
        assert both > 0.94


@pytest.mark.parametrize("shape", [(9, 4, 6), (5, 7, 3), (5, 4, 6)])
def test_linear_resizing_agrees_with_torch(shape):
    array = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(array)[None, None], shape, mode="trilinear")[0, 0]
    assert resize(array, shape, order=1) == pytest.approx(expected.numpy(), abs=1e-5)


def test_an_axis_that_stays_is_not_interpolated():
    array = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)
    together = resize(array, (11, 6, 3), order=3)
    assert np.array_equal(together[..., 1], resize(array[..., 1], (11, 6), order=3))


def test_ties_go_to_the_lower_label():
    geometry = make_geometry((2, 2, 2), np.eye(4), (1.0, 1.0, 1.0), plan(3))
    assert not geometry.to_native(np.zeros((3, 2, 2, 2), dtype=np.float32)).any()


def test_geometry_survives_json():
    geometry = make_geometry((5, 6, 7), affine_of((2, 0, 1), (-1, 1, -1)), (1.0, 2.0, 0.5), plan(2, (0.8, 0.8, 0.0)))
    assert Geometry.from_json(json.loads(json.dumps(geometry.as_json()))) == geometry


def test_scores_of_another_shape_are_refused():
    geometry = make_geometry((2, 2, 2), np.eye(4), (1.0, 1.0, 1.0), plan(3))
    with pytest.raises(ValueError, match="must have the shape"):
        geometry.to_native(np.zeros((3, 2, 2, 3), dtype=np.float32))


@pytest.mark.parametrize(
    ("affine", "spacing", "what"),
    [
        (np.zeros((4, 4)), (1.0, 1.0, 1.0), "singular"),
        (np.full((4, 4), np.nan), (1.0, 1.0, 1.0), "singular"),
        (np.eye(4), (1.0, 0.0, 1.0), "positive"),
        (np.eye(4), (1e6, 1e6, 1e6), "check the header"),
    ],
)
def test_headers_that_cannot_be_right_are_refused(affine, spacing, what):
    with pytest.raises(InputError, match=what):
        make_geometry((9, 9, 9), affine, spacing, plan(3, (1.0, 1.0, 1.0)))
