"""NSD: the part of both borders that is within 2 mm of the other."""

from __future__ import annotations

import numpy as np

from clbench.metrics.surfaces import SurfaceDistances

TOLERANCE_MM = 2.0
ROUNDING_MM = 1e-6
"""What a header's float32 spacing may add to a distance that is the tolerance exactly."""


def nsd_2mm(surfaces: SurfaceDistances) -> float:
    """Normalized surface Dice at a tolerance of 2 mm.

    Args:
        surfaces: between prediction and truth.

    Returns:
        In [0, 1]; NaN when both masks are empty, 0 when one is (in any volume larger than the tolerance).

    Source: Nikolov et al. 2021, arXiv 1809.04430; counted in border voxels as by MONAI without ``use_subvoxels``.
    Differs from the source in: every border voxel counts alike; the source weighs surface elements by their area.
    """
    distances = surfaces.both
    return float(np.mean(distances <= TOLERANCE_MM + ROUNDING_MM)) if distances.size else float("nan")
