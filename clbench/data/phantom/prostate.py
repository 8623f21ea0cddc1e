"""The procedural twin of the six-site prostate data set: same files, same traps, invented patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.files import Affine, scanner_affine, write_macos_twin, write_nifti
from clbench.data.phantom.pelvis import Patient, draw_patient, paint_pelvis, t2_weighted
from clbench.data.phantom.shapes import Array
from clbench.data.phantom.sites import SITES, Site
from clbench.data.phantom.texture import bias_field, blur, endorectal_field, rician
from clbench.seeding import numpy_generator


def write(root: Path, seed: int = 0) -> None:
    """Write the six site folders.

    Fewer and coarser cases than the original (52 instead of 116, 96 to 128 voxels in plane), same field of view, same
    names and same traps: capital ``_Segmentation`` (BMC), two zone labels (RUNMC, BMC), no Case01 (BIDMC), mask headers
    that differ in rounding (I2CVB, UCL, BIDMC), intensities that mean nothing across scans, a macOS ``._`` file (HK).

    Args:
        root: an existing folder.
        seed: equal seeds give equal bytes.
    """
    for site in SITES:
        (root / site.name).mkdir()
        for number in site.numbers:
            write_case(root, site, number, seed)
    write_macos_twin(root / "HK" / "Case00.nii.gz")


def write_case(root: Path, site: Site, number: int, seed: int = 0) -> None:
    """Write the image and the mask of one case into the site's folder."""
    image, zones = scan(site, number, seed)
    mask = zones if site.two_zones else (zones > 0).astype(np.uint8)
    affine = scanner_affine(site.grid, site.tilt_deg)
    stem = root / site.name / f"Case{number:02d}"
    write_nifti(stem.with_suffix(".nii.gz"), image, affine)
    ending = "_Segmentation" if site.capital else "_segmentation"
    write_nifti(stem.with_name(f"{stem.name}{ending}.nii.gz"), mask, _rounded(affine, site.mask_decimals))


def scan(site: Site, number: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """One patient in one site's scanner.

    Args:
        site: where.
        number: which case; patients of different sites have nothing in common.
        seed: of the whole phantom.

    Returns:
        The image (X, Y, Z) of the site's dtype, and the gland's zones (X, Y, Z) uint8.
    """
    signal = t2_weighted(site.echo_ms, site.fat)
    picture, zones, patient = paint_patient(site, number, signal, seed)
    picture /= signal["peripheral"]
    image = _acquire(numpy_generator(seed, *_names(site, number), "scanner"), site, picture, patient.rectum_center)
    return image, zones


def paint_patient(
    site: Site, number: int, signal: Mapping[str, float], seed: int = 0
) -> tuple[Array, NDArray[np.uint8], Patient]:
    """One patient of a site in any contrast: the same shapes and textures whatever the signals are.

    Args:
        site: where.
        number: which case.
        signal: tissue name -> signal.
        seed: of the whole phantom.

    Returns:
        The signal (X, Y, Z) float64, the gland's zones (X, Y, Z) uint8, and the anatomy.
    """
    names = _names(site, number)
    patient = draw_patient(numpy_generator(seed, *names, "patient"), endorectal=site.coil > 0)
    picture, zones = paint_pelvis(numpy_generator(seed, *names, "tissue"), patient, site.grid, signal)
    return picture, zones, patient


def _names(site: Site, number: int) -> tuple[str | int, ...]:
    return ("phantom", "prostate-saml", site.name, number)


def _acquire(
    rng: np.random.Generator, site: Site, picture: Array, coil_center: tuple[float, float, float]
) -> NDArray[Any]:
    """Contrast curve, point spread, receive field, noise and number scale of a site."""
    gamma, gain = site.gamma * rng.normal(1.0, 0.05), site.scale * np.exp(rng.normal(0.0, 0.25))
    seen = blur(np.maximum(picture, 0.0) ** gamma, site.grid, site.blur_mm)
    field = bias_field(rng, site.grid, site.bias)
    if site.coil:
        field = field * endorectal_field(site.grid, coil_center, site.coil * rng.uniform(0.8, 1.2), 17.0)
    noisy = rician(rng, seen * field, site.noise)
    stored: NDArray[Any] = np.clip(np.rint(gain * noisy), 0, 32767).astype(site.dtype)
    return stored


def _rounded(affine: Affine, decimals: int | None) -> Affine:
    return affine if decimals is None else np.round(affine, decimals)
