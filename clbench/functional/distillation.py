"""Distillation: how far a network's outputs or features have moved from those of its teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.functional.losses import averaged_over_levels, wide


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of a network's voxel-wise predictions from its teacher's, over the classes that the teacher knows.

    ``T^2 * mean over batch and voxels of KL(softmax(teacher / T) || softmax(student / T))``. The student's softmax is
    that over the teacher's classes alone: what it gives to newer classes is not looked at. T squared keeps the size of
    the gradient when T changes.

    Args:
        student: logits (B, K, *S).
        teacher: logits (B, K_old, *S), K_old <= K, the first of the student's classes; no gradient flows through them.
            Both are computed in float32 or wider whatever the autocast state.
        temperature: T > 0.

    Returns:
        Scalar, >= 0; 0 where both agree.

    Raises:
        ValueError: the shapes do not match.

    Source: Li and Hoiem 2016, arXiv 1606.09282, equation 2; T squared: Hinton et al. 2015, arXiv 1503.02531.
    Differs from the source in: divergence instead of cross-entropy, which differ by the teacher's entropy, a constant;
        one softmax per voxel.
    """
    known = _known(student, teacher)
    with torch.autocast(student.device.type, enabled=False):
        learned = (wide(student)[:, :known] / temperature).log_softmax(1)
        wanted = (wide(teacher.detach()) / temperature).log_softmax(1)
        return temperature**2 * _divergence(wanted, learned)


def unbiased_distillation(student: Tensor, teacher: Tensor, alpha: float) -> Tensor:
    """Divergence from a teacher for which newer classes were background.

    Mean over batch and voxels of ``KL(softmax(alpha * teacher) || q)``, where q gives the background what the student
    gives to the background or any newer class, and an old class what the student gives to it.

    Args:
        student: logits (B, K, *S), channel 0 the background.
        teacher: logits (B, K_old, *S), K_old <= K, the first of the student's classes; no gradient flows through them.
            Both are computed in float32 or wider whatever the autocast state.
        alpha: > 0; above 1 it sharpens the teacher's prediction.

    Returns:
        Scalar, >= 0. With K = K_old and alpha = 1 it is ``distillation`` at temperature 1.

    Raises:
        ValueError: the shapes do not match.

    Source: Cermelli et al. 2020, arXiv 2002.00718, equations 7 and 8; alpha as in the authors' code.
    Differs from the source in: divergence instead of cross-entropy; not divided by the number of classes.
    """
    known = _known(student, teacher)
    with torch.autocast(student.device.type, enabled=False):
        learned = wide(student).log_softmax(1)
        background = torch.cat([learned[:, :1], learned[:, known:]], 1).logsumexp(1, keepdim=True)
        wanted = (alpha * wide(teacher.detach())).log_softmax(1)
        return _divergence(wanted, torch.cat([background, learned[:, 1:known]], 1))


def over_levels(student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Pairs of outputs of one resolution, full resolution first, of networks with or without deep supervision.

    Raises:
        ValueError: the numbers of resolutions differ.
    """
    students = [student] if isinstance(student, Tensor) else list(student)
    teachers = [teacher] if isinstance(teacher, Tensor) else list(teacher)
    if len(students) != len(teachers):
        raise ValueError(f"the student has outputs at {len(students)} resolutions, its teacher at {len(teachers)}")
    return list(zip(students, teachers, strict=True))


def pooled_outputs_distillation(student: Sequence[Tensor], teacher: Sequence[Tensor], scales: int) -> Tensor:
    """Mean over feature maps of the distance between their local pooled profiles, each scaled to length 1.

    Args:
        student: feature maps (B, C, *S), each of its own size; computed in float32 or wider.
        teacher: maps of the same shapes; no gradient flows through them.
        scales: see ``local_profiles``.

    Returns:
        Scalar in [0, 2]; its gradient is finite, also where both agree.

    Raises:
        ValueError: the shapes do not match, or there is no map.

    Source: Douillard et al. 2021, arXiv 2011.11390, equations 3 and 5, and the authors' code.
    Differs from the source in: see ``local_profiles``.
    """
    shapes = [[tuple(map_.shape) for map_ in maps] for maps in (student, teacher)]
    if not student or shapes[0] != shapes[1]:
        raise ValueError(f"feature maps of student and teacher do not match: {shapes[0]}, {shapes[1]}")
    with torch.autocast(student[0].device.type, enabled=False):
        distances = [
            torch.linalg.vector_norm(
                F.normalize(local_profiles(ours, scales), dim=1)
                - F.normalize(local_profiles(theirs.detach(), scales), dim=1),
                dim=1,
            ).mean()
            for ours, theirs in zip(student, teacher, strict=True)
        ]
        return torch.stack(distances).mean()


def local_profiles(features: Tensor, scales: int) -> Tensor:
    """Mean of the squared features along all axes of space but one, in ever smaller blocks.

    At scale s = 1, 2, 4, ... the map is cut into s blocks per axis (fewer where the axis is shorter; voxels that are
    left over at the end are not looked at); each block gives one profile per axis of space.

    Args:
        features: (B, C, *S); computed in float32 or wider.
        scales: how many scales, at least 1.

    Returns:
        (B, N), all profiles of a sample behind each other.

    Source: Douillard et al. 2021, arXiv 2011.11390, equations 3 and 5, and the authors' code (squares).
    Differs from the source in: in three dimensions a profile is the mean over two axes, in two over one, as there.
    """
    squares = wide(features).square()
    return torch.cat([part for scale in range(scales) for part in _profiles(squares, 2**scale)], 1)


def _profiles(maps: Tensor, count: int) -> list[Tensor]:
    """One tensor (B, N) per axis of space of maps (B, C, *S) cut into at most ``count`` blocks per axis."""
    blocks, shape = maps, list(maps.shape[:2])
    for axis, size in enumerate(maps.shape[2:]):
        number = min(count, size)
        blocks = blocks.narrow(axis + 2, 0, number * (size // number))
        shape += [number, size // number]
    blocks = blocks.reshape(shape)  # (B, C, n_1, k_1, n_2, k_2, ...)
    inner = range(3, blocks.ndim, 2)
    return [blocks.mean([other for other in inner if other != axis]).flatten(1) for axis in inner]


def mean_over_levels(values: Sequence[Tensor]) -> Tensor:
    """Mean of scalars of several resolutions, weighted as the segmentation loss weights them."""
    return averaged_over_levels([{"value": value} for value in values])["value"]


def _known(student: Tensor, teacher: Tensor) -> int:
    """Classes of the teacher."""
    known = teacher.shape[1]
    if student.shape[0] != teacher.shape[0] or student.shape[2:] != teacher.shape[2:] or known > student.shape[1]:
        raise ValueError(
            "logits of student (B, K, *S) and teacher (B, K_old <= K, *S) do not match: "
            f"{tuple(student.shape)}, {tuple(teacher.shape)}"
        )
    return known


def _divergence(wanted: Tensor, learned: Tensor) -> Tensor:
    """Mean over batch and voxels of KL(wanted || learned), both log-probabilities (B, K, *S)."""
    return (wanted.exp() * (wanted - learned)).sum(1).mean()
