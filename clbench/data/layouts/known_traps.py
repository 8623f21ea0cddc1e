"""Known traps: the oddities of each published layout that a check can name, for the documentation and its tests."""

from __future__ import annotations

from dataclasses import dataclass

ANY = "any"  # the layout of traps that voxels, headers and folders of any data set can hold


@dataclass(frozen=True)
class KnownTrap:
    """What a kind of ``Trap`` stands for.

    Attributes:
        kind: as in ``Trap``.
        met: what is odd.
        done: what clbench does.
    """

    kind: str
    met: str
    done: str


_CHANNELS = KnownTrap("several-channels", "images have several channels, the card asks for one", "reads that one")
_COUNT = KnownTrap(
    "case-count-differs", "`numTraining` of `dataset.json` is not the number of cases", "uses what is there"
)

KNOWN_TRAPS: dict[str, tuple[KnownTrap, ...]] = {
    "prostate-saml": (
        KnownTrap("capital-segmentation", "BMC writes `_Segmentation`", "reads it all the same"),
        KnownTrap("two-zone-labels", "RUNMC and BMC masks number two zones", "every value but 0 is the prostate"),
        KnownTrap("missing-case-number", "BIDMC has no Case01", "goes on; says whether the gap is the published one"),
        KnownTrap("site-alias", "I2CVB is also called HCRUDB", "takes either name"),
        KnownTrap("mask-header-differs", "mask headers are rounded", "the image's geometry counts"),
    ),
    "acdc": (
        KnownTrap(
            "spacing-lost",
            "every header says 1 × 1 × 1 mm: an altered copy that lost its spacing",
            "uses it as it is; its distances in mm mean nothing",
        ),
    ),
    "mnms": (
        KnownTrap(
            "4d-series", "images and masks are 4-D, masks are filled at two frames", "reads these two as two cases"
        ),
        KnownTrap("label-order", "1 is the left ventricle; in ACDC it is the right one", "maps by name"),
        KnownTrap("unlabeled-patients", "`Training/Unlabeled` has empty masks", "skips them"),
        KnownTrap("missing-frames", "unlabelled patients have no ED or ES in the table", "not needed"),
        KnownTrap("decimal-frames", "frame numbers are written as decimals", "reads them as whole numbers"),
        KnownTrap("dated-table", "the table's name carries a date, which differs", "takes any date"),
        KnownTrap("several-tables", "tables of several dates", "takes the latest and names the others"),
    ),
    "harp": (
        KnownTrap(
            "axis-order-differs",
            "HarP images (MINC) and masks (NIfTI) order their axes differently",
            "brings each to RAS by its own header",
        ),
        KnownTrap(
            "swapped-sides", "four HarP scans have left and right masks swapped", "reads `_L` as right and `_R` as left"
        ),
        KnownTrap("mask-offset", "HarP masks hold k and k + 1", "the smallest value is background"),
    ),
    "dryad": (
        KnownTrap("two-zone-labels", "Dryad masks number three subfields", "merges them"),
        KnownTrap("missing-case-number", "a gap in the numbers of Dryad's subjects", "goes on, and says so"),
    ),
    "decathlon": (
        KnownTrap("float-mask", "some Decathlon masks hold floats", "rounds them"),
        _CHANNELS,
        _COUNT,
    ),
    "nnunet": (_CHANNELS, _COUNT),
    ANY: (
        KnownTrap(
            "intensity-scales-differ",
            "the largest image values differ tenfold or more between images",
            "normalizes every image on its own, as always",
        ),
        KnownTrap(
            "float-mask",
            "a mask stored as floats",
            "rounds them where they are integers within 0.001; else it is an error",
        ),
        KnownTrap("two-zone-labels", "several values of a mask become one label", "merges them"),
        KnownTrap(
            "mask-header-differs",
            "position or spacing differ between image and mask, shape and orientation do not",
            "the image's geometry counts",
        ),
        KnownTrap("spacing-disagrees", "the header's affine and its voxel spacing disagree", "the spacing counts"),
        KnownTrap(
            "empty-mask", "no labelled voxel, where the card says `empty_masks = true`", "uses the case as it is"
        ),
        KnownTrap("macos-files", "`._*` twins of files", "ignored"),
        KnownTrap(
            "cases-of-one-patient",
            "names such as `patient001_frame01` and `patient001_frame12` in an nnU-Net or Decathlon folder, without "
            "`patient` in the card",
            "warns: each counts as a patient, so that one may be learned and the other tested",
        ),
    ),
}
