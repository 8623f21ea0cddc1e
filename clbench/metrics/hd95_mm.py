"""HD95: how far the borders of two masks are apart at their worst, outliers forgiven."""

from __future__ import annotations

import numpy as np

from clbench.metrics.surfaces import SurfaceDistances


def hd95_mm(surfaces: SurfaceDistances) -> float:
    """The larger of the two directions' 95th percentiles of surface distances.

    Args:
        surfaces: between prediction and truth.

    Returns:
        In mm, >= 0, interpolated between the two neighboring distances; NaN when both masks are empty.

    Source: Huttenlocher et al. 1993, doi 10.1109/34.232073, equation 5 (the partial Hausdorff distance); as MONAI
        and DeepMind's surface-distance have it.
    Differs from the source in: medpy and nnU-Net before version 2 take one percentile of both directions together,
        which hides what is missed by a small mask.
    """
    directed = [distances for distances in (surfaces.from_prediction, surfaces.from_truth) if distances.size]
    return max((float(np.percentile(distances, 95)) for distances in directed), default=float("nan"))
