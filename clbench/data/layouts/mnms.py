"""M&Ms short-axis cine MRI: one 4-D series per patient, its two annotated frames named in a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing, Trap
from clbench.data.layouts.files import entries, macos_trap, nifti_files
from clbench.data.layouts.gathering import IncompleteError, complete, gathering
from clbench.data.layouts.labels import map_labels
from clbench.data.layouts.mnms_table import Row, find_table, read_table
from clbench.errors import InputError, unknown
from clbench.wording import counted

RAW_LABELS = {0: "background", 1: "lv", 2: "myocardium", 3: "rv"}
LABELED = ("Training/Labeled", "Validation", "Testing")
UNLABELED = "Training/Unlabeled"
GROUPINGS = ("vendor", "centre")


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List two cases per labeled patient, ``<code>_ED`` and ``<code>_ES``, whose channel is the frame.

    Args:
        root: folder that holds the table, ``Training``, ``Validation`` and ``Testing``.
        labels: the stream's labels; raw names are ``lv`` (cavity), ``myocardium`` and ``rv`` (cavity).
        options: ``rename``; ``group_by`` is ``vendor`` (A to D, the default) or ``centre`` (1 to 5).

    Raises:
        InputError: a folder, a table row, a frame number, an image or a mask is missing, or a label has no counterpart.

    Source: Campello et al. 2021, IEEE TMI 40(12):3543-3554.
    """
    values = map_labels(RAW_LABELS, labels, options.get("rename", {}), root)
    group_by = options.get("group_by", GROUPINGS[0])
    if group_by not in GROUPINGS:
        raise unknown("group_by", str(group_by), GROUPINGS)
    table, traps = find_table(root)
    problems: list[str] = []
    with gathering(problems):
        rows, more_traps = read_table(table)
    with gathering(problems):
        labeled, unlabeled = _patients(root)
    if problems:  # half a table would miss patients, half the folders rows
        raise IncompleteError(problems)
    cases: list[Case] = []
    problems += _mismatches(rows, labeled, unlabeled, table)
    for code in sorted(labeled.keys() & rows.keys()):
        with gathering(problems):
            cases += _cases(rows[code], labeled[code], group_by, values, table, problems)
    every = (*traps, *more_traps, *_traps(root, rows, labeled, unlabeled, table))
    return complete(cases, every, problems)


def _patients(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Code -> folder of the labeled and of the unlabeled patients."""
    labeled: dict[str, Path] = {}
    problems: list[str] = []
    for name in LABELED:
        folder = _subfolder(root, name)
        if folder is None:
            problems.append(f"{root}: no folder {name}; complete the download")
        for path in _folders(folder) if folder else []:
            twin = labeled.setdefault(path.name, path)
            if twin != path:
                problems.append(f"{path}: patient is in {twin.parent.relative_to(root)} too; keep one of them")
    spare = _subfolder(root, UNLABELED)
    unlabeled = {path.name: path for path in (_folders(spare) if spare else [])}
    for code in sorted(labeled.keys() & unlabeled.keys()):
        where = labeled[code].parent.relative_to(root)
        problems.append(f"{unlabeled[code]}: patient is in {where} too; keep one of them")
    if problems:
        raise IncompleteError(problems)
    return labeled, unlabeled


def _subfolder(root: Path, name: str) -> Path | None:
    """The folder of that name, ignoring case, or None."""
    for part in name.split("/"):
        found = [path for path in _folders(root) if path.name.casefold() == part.casefold()]
        if not found:
            return None
        root = found[0]
    return root


def _folders(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_dir()]


def _mismatches(
    rows: Mapping[str, Row], labeled: Mapping[str, Path], unlabeled: Mapping[str, Path], table: Path
) -> Iterator[str]:
    if without_row := sorted(labeled.keys() - rows.keys()):
        yield f"{table}: has no row for the patients {', '.join(without_row)}; take the complete table"
    if without_folder := sorted(rows.keys() - labeled.keys() - unlabeled.keys()):
        lost, mend = ", ".join(without_folder), "complete the download or delete their rows"
        yield f"{table}: lists patients that have no folder: {lost}; {mend}"


def _cases(
    row: Row, folder: Path, group_by: str, values: Mapping[int, int], table: Path, problems: list[str]
) -> list[Case]:
    files = {stem.casefold(): path for stem, path in nifti_files(folder).items()}
    found = [files.get(f"{row.code}{ending}".casefold()) for ending in ("_sa", "_sa_gt")]
    missing = [f"{row.code}{ending}" for ending, file in zip(("_sa", "_sa_gt"), found, strict=True) if file is None]
    problems += [f"{folder}: {stem}.nii.gz is missing; complete the download" for stem in missing]
    if None in row.frames.values():
        lacking = " and ".join(key for key, frame in row.frames.items() if frame is None)
        raise InputError(f"{table}: labeled patient {row.code} has no frame number {lacking}; fill it in")
    if row.frames["ED"] == row.frames["ES"]:
        raise InputError(f"{table}: ED and ES of patient {row.code} are both frame {row.frames['ED']}; correct one")
    group = row.vendor if group_by == "vendor" else row.centre
    image, mask = found
    if image is None or mask is None:
        return []
    return [
        Case(f"{row.code}_{key}", row.code, (image,), mask, values, group=group, channel=frame)
        for key, frame in row.frames.items()
    ]


def _traps(
    root: Path, rows: Mapping[str, Row], labeled: Mapping[str, Path], unlabeled: Mapping[str, Path], table: Path
) -> Iterable[Trap]:
    action = f"frames ED and ES of {counted(len(labeled), 'patient')} read as two cases each"
    yield Trap("4d-series", ", ".join(LABELED), action)
    yield Trap("label-order", ", ".join(LABELED), "1 lv, 2 myocardium, 3 rv, unlike ACDC; mapped by name")
    if unlabeled:
        action = f"{counted(len(unlabeled), 'patient')} skipped; their masks are empty"
        yield Trap("unlabeled-patients", UNLABELED, action)
    frameless = sum(None in row.frames.values() for code, row in rows.items() if code in unlabeled)
    if frameless:
        who = counted(frameless, "unlabeled patient has", "unlabeled patients have")
        yield Trap("missing-frames", table.name, f"{who} no ED or ES; not needed")
    parents = {folder.parent for folder in labeled.values()}
    for folder in sorted({root, *parents, *labeled.values()}):
        yield from macos_trap(folder, root)
