"""ASSD: how far the borders of two masks are apart on average."""

from __future__ import annotations

import numpy as np

from clbench.metrics.surfaces import SurfaceDistances


def assd_mm(surfaces: SurfaceDistances) -> float:
    """Mean of the surface distances of both directions together.

    Args:
        surfaces: between prediction and truth.

    Returns:
        In mm, >= 0; NaN when both masks are empty.

    Source: Heimann et al. 2009, doi 10.1109/TMI.2009.2013851; as MONAI's symmetric average surface distance.
    Differs from the source in: medpy averages the means of the two directions, so that both count alike however
        many border voxels they have.
    """
    distances = surfaces.both
    return float(np.mean(distances)) if distances.size else float("nan")
