"""Layouts: one reader per public folder structure. A reader lists cases and traps; it opens no voxel file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from clbench.data.case import Listing
from clbench.errors import unknown


@dataclass(frozen=True)
class LayoutSpec:
    """A layout as the registry lists it.

    Attributes:
        summary: one line on what the folder looks like.
        reader: ``module:function``, imported at the first call.
        options: names of the options that the reader takes.
    """

    summary: str
    reader: str
    options: tuple[str, ...] = ()

    def read(self, root: Path, labels: Mapping[str, int], options: Mapping[str, Any] | None = None) -> Listing:
        """List the cases under a root.

        Args:
            root: the folder of the data set.
            labels: label name -> value of the stream (from 1).
            options: of this layout, such as ``rename`` (raw label name -> stream label name or ``background``).

        Raises:
            InputError: the folder is not in this layout, a file is missing, a label has no counterpart, or an
                option does not exist. As an ``IncompleteError`` it tells everything that is missing and has the cases
                that are there.
        """
        given = dict(options or {})
        for name in given:
            if name not in self.options:
                raise unknown("layout option", name, self.options or ("none",))
        module, _, function = self.reader.partition(":")
        listing: Listing = getattr(import_module(module), function)(root, labels, given)
        return listing


LAYOUTS: dict[str, LayoutSpec] = {
    "prostate-saml": LayoutSpec(
        "six prostate sites: <SITE>/CaseNN.nii.gz and <SITE>/CaseNN_segmentation.nii.gz",
        "clbench.data.layouts.prostate:read",
        ("sites",),
    ),
    "acdc": LayoutSpec(
        "ACDC: patientNNN/{Info.cfg, patientNNN_frameFF.nii.gz, patientNNN_frameFF_gt.nii.gz}",
        "clbench.data.layouts.acdc:read",
        ("rename",),
    ),
    "mnms": LayoutSpec(
        "M&Ms: a table, {Training/Labeled,Validation,Testing}/<code>/{<code>_sa, <code>_sa_gt}.nii.gz, both 4-D",
        "clbench.data.layouts.mnms:read",
        ("rename", "group_by"),
    ),
    "harp": LayoutSpec(
        "HarP hippocampus: {100,35}/ADNI_*.mnc and Labels_{100,35}_NIFTI/ADNI_*_{L,R}.nii",
        "clbench.data.layouts.harp:read",
        ("subsets",),
    ),
    "dryad": LayoutSpec(
        "Dryad hippocampus: sNN/{sNN_t1w_standard_defaced_MNI, sNN_hippolabels_t1w_standard_{L,R}_MNI}.nii.gz",
        "clbench.data.layouts.dryad:read",
    ),
    "decathlon": LayoutSpec(
        "Medical Segmentation Decathlon: pairs listed in dataset.json",
        "clbench.data.layouts.decathlon:read",
        ("rename", "channel", "group", "patient"),
    ),
    "nnunet": LayoutSpec(
        "nnU-Net raw: dataset.json, imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz",
        "clbench.data.layouts.nnunet:read",
        ("rename", "channel", "group", "patient"),
    ),
}
