"""Six-site prostate MRI (SAML collection): one flat folder per site."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing, Trap
from clbench.data.layouts.files import entries, macos_trap, nifti_files
from clbench.data.layouts.gathering import complete, gathering
from clbench.data.layouts.labels import one_label
from clbench.errors import InputError, unknown

SITES = ("RUNMC", "BMC", "I2CVB", "UCL", "BIDMC", "HK")
ALIASES = {"HCRUDB": "I2CVB"}
PUBLISHED_GAPS = {"BIDMC": {1}}
_IMAGE = re.compile(r"case(?P<number>\d+)", re.IGNORECASE)
_MASK = re.compile(r"case(?P<number>\d+)_segmentation", re.IGNORECASE)


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List the cases of the six sites; every non-zero mask value is the one label.

    Args:
        root: folder that holds the site folders.
        labels: the stream's single label.
        options: ``sites`` lists the sites to read; all six when absent.

    Raises:
        InputError: other than one label, an unknown or missing site, or an image or mask without its partner.

    Source: Liu, Dou, Yu, Heng 2020, arXiv 2002.03366 and 2007.02035 (collection of NCI-ISBI 2013, I2CVB, PROMISE12).
    """
    values = one_label(labels, root)  # RUNMC and BMC number two zones; published work takes > 0
    cases: list[Case] = []
    traps: list[Trap] = list(macos_trap(root, root)) if root.is_dir() else []
    problems: list[str] = []
    for site in options.get("sites", SITES):
        if site not in SITES:
            raise unknown("prostate site", site, SITES)
        with gathering(problems):
            folder = _site_folder(root, site)
            pairs = _pairs(folder, site, problems)
            cases += [_case(site, number, image, mask, values) for number, (image, mask) in pairs.items()]
            traps += _traps(site, folder, root, pairs)
    return complete(cases, traps, problems)


def _site_folder(root: Path, site: str) -> Path:
    names = {site.casefold(), *(alias.casefold() for alias, name in ALIASES.items() if name == site)}
    found = [path for path in entries(root) if path.is_dir() and path.name.casefold() in names]
    if not found:
        raise InputError(f"{root}: no folder for site {site}; complete the download")
    if len(found) > 1:
        raise InputError(f"{root}: site {site} is there twice, as {found[0].name} and {found[1].name}; keep one")
    return found[0]


def _pairs(folder: Path, site: str, problems: list[str]) -> dict[int, tuple[Path, Path]]:
    """Case number -> image and mask, where both are there."""
    files = nifti_files(folder)
    images = _numbered(files, _IMAGE, problems)
    masks = _numbered(files, _MASK, problems)
    if not images:
        raise InputError(f"{folder}: site {site} has no CaseNN.nii.gz; complete the download")
    for number in sorted(images.keys() ^ masks.keys()):
        lone = images.get(number) or masks[number]
        lacks = "mask CaseNN_segmentation.nii.gz" if number in images else "image CaseNN.nii.gz"
        problems.append(f"{lone}: has no {lacks} beside it; complete the download")
    return {number: (images[number], masks[number]) for number in sorted(images.keys() & masks.keys())}


def _numbered(files: Mapping[str, Path], pattern: re.Pattern[str], problems: list[str]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for stem, path in files.items():
        match = pattern.fullmatch(stem)
        if match is None:
            continue
        twin = found.setdefault(int(match["number"]), path)
        if twin != path:
            problems.append(f"{path}: same case number as {twin.name}; keep one of them")
    return found


def _case(site: str, number: int, image: Path, mask: Path, values: Mapping[int, int]) -> Case:
    name = f"{site}/Case{number:02d}"
    return Case(case_id=name, patient_id=name, images=(image,), mask=mask, label_values=values, group=site)


def _traps(site: str, folder: Path, root: Path, pairs: Mapping[int, tuple[Path, Path]]) -> list[Trap]:
    where = folder.relative_to(root).as_posix()
    traps = list(macos_trap(folder, root))
    if folder.name.upper() in ALIASES:
        traps.append(Trap("site-alias", where, f"read as {site}"))
    capital = sum("_Segmentation" in mask.name for _, mask in pairs.values())
    if capital:
        traps.append(Trap("capital-segmentation", where, f"{capital} masks named _Segmentation read as _segmentation"))
    for number in sorted(set(range(max(pairs, default=0))) - pairs.keys()):
        published = number in PUBLISHED_GAPS.get(site, set())
        action = (
            "as published; none expected" if published else "went on without it; check that the download is complete"
        )
        traps.append(Trap("missing-case-number", f"{where}/Case{number:02d}", action))
    return traps
