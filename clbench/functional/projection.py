"""Projection: the gradient nearest to the wanted one that does not make earlier tasks worse."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def project_to_halfspace(gradient: Tensor, reference: Tensor) -> Tensor:
    """The vector nearest to a gradient that has no negative product with a reference gradient.

    ``g - (g . r / r . r) r`` where ``g . r < 0``, else g itself; g as well where r is 0.

    Args:
        gradient: (P,), floating point.
        reference: (P,), same dtype and device.

    Returns:
        (P,).

    Raises:
        ValueError: shapes that differ or have several axes.

    Source: Chaudhry et al. 2019, arXiv 1812.00420, equation 11 (A-GEM).
    """
    _require_vectors(gradient, reference[None])
    product, square = gradient @ reference, reference @ reference
    if not product < 0 or square == 0:
        return gradient
    return gradient - (product / square) * reference


def project_to_cone(gradient: Tensor, references: Tensor, *, margin: float = 0.0, ridge: float = 1e-3) -> Tensor:
    """The gradient nearest to the wanted one whose product with no reference is negative; with a margin, beyond it.

    If a product ``g . r_k`` is negative, solves the dual: minimize ``1/2 v' (G G' + ridge s I) v + (G g)' v`` subject
    to ``v >= margin``, with G the references as rows and s the mean of their squared norms, and returns ``g + G' v``.
    The projection for margin 0 and a small ridge; a margin moves it further towards every reference.

    Args:
        gradient: (P,), floating point.
        references: (K, P), K >= 1.
        margin: at least 0.
        ridge: > 0, makes the problem strictly convex when references are linearly dependent.

    Returns:
        (P,), dtype and device of ``gradient``; the gradient itself if no product is negative, if all references are 0,
        or if anything is not finite.

    Raises:
        ValueError: shapes that do not match, a negative margin, or a ridge that is not positive.

    Source: Lopez-Paz and Ranzato 2017, arXiv 1706.08840, equations 11 and 12 (GEM); solver: Goldfarb and Idnani 1983,
        doi 10.1007/BF02591962.
    Differs from the source in: the ridge of the authors' code, 1e-3, is relative to the references, so that the result
        does not depend on the scale of the loss.
    """
    import quadprog

    _require_vectors(gradient, references)
    if margin < 0 or ridge <= 0:
        raise ValueError(f"margin {margin:g} must not be negative and ridge {ridge:g} must be positive")
    products = (references @ gradient).double().cpu().numpy()
    gram = (references @ references.T).double().cpu().numpy()
    scale = float(np.trace(gram)) / len(gram)
    if not (products < 0).any() or scale == 0 or not (np.isfinite(gram).all() and np.isfinite(products).all()):
        return gradient
    # In units of the references' mean square, so that tiny and huge gradients are solved alike.
    square = 0.5 * (gram + gram.T) / scale + ridge * np.eye(len(gram))
    found = quadprog.solve_qp(square, -products / scale, np.eye(len(gram)), np.full(len(gram), float(margin)))[0]
    return gradient + torch.from_numpy(found).to(references) @ references


def _require_vectors(gradient: Tensor, references: Tensor) -> None:
    if gradient.ndim != 1 or references.ndim != 2 or references.shape[1:] != gradient.shape:
        raise ValueError(
            f"gradient (P,) and references (K, P) do not match: {tuple(gradient.shape)}, {tuple(references.shape)}"
        )
