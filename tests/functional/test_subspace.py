"""Subspace: windows as unfold cuts them, bases as the singular values say, projections that meet nothing."""

import pytest
import torch
import torch.nn.functional as F

from clbench.functional.subspace import extend_basis, input_windows, output_voxels, project_out


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [((3, 3), (1, 1), (1, 1)), ((3, 1), (2, 1), (1, 0))])
def test_windows_are_those_of_unfold(kernel, stride, padding):
    x = random(4, 8, 6)
    count = output_voxels((8, 6), kernel, stride, padding)
    unfolded = F.unfold(x[None], kernel, padding=padding, stride=stride)[0]
    assert unfolded.shape[1] == count
    assert input_windows(x, kernel, stride, padding, torch.arange(count)).equal(unfolded)


def test_windows_times_weights_are_the_convolution():
    x, weight = random(2, 6, 5, 4), random(3, 2, 3, 3, 1)
    expected = F.conv3d(x[None], weight, stride=(2, 1, 1), padding=(1, 1, 0))[0]
    count = output_voxels((6, 5, 4), (3, 3, 1), (2, 1, 1), (1, 1, 0))
    windows = input_windows(x, (3, 3, 1), (2, 1, 1), (1, 1, 0), torch.arange(count))
    torch.testing.assert_close((weight.flatten(1) @ windows).view_as(expected), expected)


def test_the_first_basis_holds_the_leading_singular_vectors():
    left, right = (torch.linalg.qr(random(6, 6, seed=seed)).Q for seed in (0, 1))
    columns = left @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5, 0, 0]).double()) @ right
    empty = torch.zeros(6, 0)
    # Energies 9, 4, 1 and 0.25 of 14.25: shares 0.632, 0.912, 0.982, 1.
    for threshold, count in ((0.6, 1), (0.9, 2), (0.97, 3), (0.99, 4), (1.0, 4)):
        basis = extend_basis(empty, columns, threshold)
        assert basis.shape == (6, count)
        torch.testing.assert_close((basis.T.double() @ left[:, :count]).abs(), torch.eye(count).double())


def test_a_basis_grows_by_what_it_does_not_hold_yet():
    """By hand: columns 3 e1 and 4 e2; e1 is known and holds 9 of 25, so that 0.3 needs nothing and 0.5 needs e2."""
    basis, columns = torch.eye(4)[:, :1], torch.diag(torch.tensor([3.0, 4.0, 0, 0]))[:, :2]
    assert extend_basis(basis, columns, 0.3).equal(basis)
    grown = extend_basis(basis, columns, 0.5)
    assert grown[:, :1].equal(basis)
    torch.testing.assert_close(grown[:, 1].abs(), torch.tensor([0.0, 1, 0, 0]))


def test_a_basis_stays_orthonormal_over_many_tasks():
    basis = torch.zeros(30, 0)
    for seed in range(6):
        basis = extend_basis(basis, random(30, 8, seed=seed) @ random(8, 50, seed=seed + 10), 1.0)
        torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-5, rtol=0)
    assert basis.shape == (30, 30)
    assert extend_basis(basis, random(30, 9), 1.0).equal(basis)


def test_inputs_of_zero_need_no_direction():
    assert extend_basis(torch.zeros(3, 0), torch.zeros(3, 5), 0.97).shape == (3, 0)


def test_what_is_projected_out_meets_no_vector_of_the_subspace():
    basis = torch.linalg.qr(random(8, 3)).Q
    rows = random(5, 8, seed=1)
    left = project_out(rows, basis)
    assert (left @ basis).abs().max() < 1e-12
    torch.testing.assert_close(project_out(left, basis), left)
    torch.testing.assert_close(project_out(rows, torch.zeros(8, 0).double()), rows)


def test_shapes_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"basis \(3, 0\), columns \(4, 2\)"):
        extend_basis(torch.zeros(3, 0), torch.zeros(4, 2), 0.9)
