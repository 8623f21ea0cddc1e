"""Trees in the exact public layouts with every known trap planted: small where the layout allows it."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

import tiny_trees
from clbench.data.layouts.harp import SWAPPED
from clbench.data.layouts.sides import CROPS
from clbench.data.phantom.minc import minc_bytes
from clbench.data.phantom.sparse import sparse_gzip, write_with_holes

TABLE = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"
OLDER_TABLE = "201014_M&Ms_Dataset_Information_-_opendataset.csv"
FOLDERS = ("Training/Labeled", "Validation", "Testing")
HEAD = (197, 233, 189)
ORIGIN_MM = (-98.0, -134.0, -72.0)
MACOS = b"\x00\x05\x16\x07"


def prostate_7sites(root: Path) -> Path:
    """Six sites, I2CVB under its other name, rounded mask headers at UCL; Decathlon with two channels."""
    tiny_trees.decathlon_prostate(tiny_trees.prostate(root))
    sites, task5 = root / "prostate", root / "Task05_Prostate"
    (sites / "I2CVB").rename(sites / "HCRUDB")
    (sites / "HK" / "._Case00.nii.gz").write_bytes(MACOS)
    for mask in (sites / "UCL").glob("*_segmentation.nii.gz"):
        tiny_trees.save(mask, tiny_trees.load(mask), np.diag([1.0, 1.0, 1.004, 1.0]))
    for image in (sites / "HCRUDB").glob("Case??.nii.gz"):
        tiny_trees.save(image, 1000 * tiny_trees.load(image))
    _as_floats(task5 / "labelsTr" / "prostate_01.nii.gz")
    _promise(task5, 32)
    return root


def cardiac(root: Path) -> Path:
    """Three patients of every centre and one without labels, in series of three frames; tables of two dates."""
    dataset = root / "OpenDataset"
    rows = [["", "External code", "VendorName", "Vendor", "Centre", "ED", "ES"]]
    for centre, vendor in enumerate("ABBCD", start=1):
        for folder in FOLDERS:
            code = f"{folder[:2]}{centre}"
            _write_series(dataset / folder / code, code, scale=5**centre, frames=(2, 0))
            rows.append(["0", code, vendor, vendor, str(centre), "2.0", "0.0"])
    _write_series(dataset / "Training" / "Unlabeled" / "U1", "U1", scale=1, frames=())
    rows.append(["0", "U1", "C", "C", "4", "", ""])
    (dataset / "Testing" / "Te1" / "._Te1_sa.nii.gz").write_bytes(MACOS)
    for name in (TABLE, OLDER_TABLE):
        with (dataset / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return root


def _write_series(folder: Path, code: str, scale: int, frames: tuple[int, ...]) -> None:
    rng = np.random.default_rng(list(code.encode()))
    mask = np.zeros((8, 8, 3, 3), np.uint8)
    for frame in frames:
        mask[2:4, 2:4, 1, frame], mask[4, 2:4, 1, frame], mask[5:7, 2:4, 1, frame] = 1, 2, 3
    tiny_trees.save(folder / f"{code}_sa.nii.gz", (scale * rng.integers(1, 30, mask.shape)).astype(np.int16))
    tiny_trees.save(folder / f"{code}_sa_gt.nii.gz", mask)


def hippocampus_sites(root: Path) -> Path:
    """The four scans of HarP with swapped sides; three subjects of Dryad and a gap; Decathlon with a float mask."""
    for number, scan in enumerate(sorted(SWAPPED)):
        _write_harp(root / "harp", ("100", "35")[number % 2], scan, number)
    for subject in ("s01", "s02", "s04"):
        _write_dryad(root / "dryad" / subject, subject)
    (root / "dryad" / "s02" / "._s02_t1w_standard_defaced_MNI.nii.gz").write_bytes(MACOS)
    task4 = tiny_trees.hippocampus(root) / "Task04_Hippocampus"
    image = task4 / "imagesTr" / "hippocampus_000.nii.gz"
    tiny_trees.save(image, 1e4 * tiny_trees.load(image))
    _as_floats(task4 / "labelsTr" / "hippocampus_001.nii.gz")
    _promise(task4, 260)
    return root


def _write_harp(root: Path, subset: str, scan: str, number: int) -> None:
    """A MINC image, z, y, x, and NIfTI masks, x, y, z, whose letters are swapped; two masks do not start at 0."""
    images, masks = root / subset, root / f"Labels_{subset}_NIFTI"
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    write_with_holes(images / f"{scan}_ACPC.mnc", minc_bytes(_head(scan), ORIGIN_MM, (1.0, 1.0, 1.0), top=900.0))
    for letter, side in (("L", "right"), ("R", "left")):
        content = bytearray(_nifti(_outline(side, 1)))
        if (number, letter) in ((0, "L"), (1, "R")):
            content[116:120] = struct.pack("<f", 26896.988 if number else 1.0)  # scl_inter: readers add it
        write_with_holes(masks / f"{scan}_{letter}.nii", bytes(content))


def _write_dryad(folder: Path, subject: str) -> None:
    folder.mkdir(parents=True)
    files = {"t1w_standard_defaced": _head(subject)}
    files |= {f"hippolabels_t1w_standard_{side[0].upper()}": _outline(side, 3) for side in CROPS}
    for name, array in files.items():
        (folder / f"{subject}_{name}_MNI.nii.gz").write_bytes(sparse_gzip(_nifti(array)))


def _head(name: str) -> np.ndarray:
    """Noise in the crops of both sides, nothing elsewhere: (X, Y, Z) uint8 on the grid of both data sets."""
    head = np.zeros(HEAD, np.uint8, order="F")
    rng = np.random.default_rng(list(name.encode()))
    for box in CROPS.values():
        place = tuple(slice(start, stop) for start, stop in box)
        head[place] = rng.integers(1, 256, head[place].shape)
    return head


def _outline(side: str, parts: int) -> np.ndarray:
    """A box in the crop of one side, in so many parts from below."""
    mask = np.zeros(HEAD, np.uint8, order="F")
    (x, _), (y, _), (z, _) = CROPS[side]
    for part in range(parts):
        mask[x + 15 : x + 30, y + 15 : y + 45, z + 20 + 5 * part : z + 25 + 5 * part] = part + 1
    return mask


def _nifti(array: np.ndarray) -> bytes:
    affine = np.eye(4)
    affine[:3, 3] = ORIGIN_MM
    image = nib.Nifti1Image(array, affine)
    image.header.set_slope_inter(1, 0)
    content: bytes = image.to_bytes()
    return content


OWN_CARD = """
name = "own"
version = 1
kind = "domain"
title = "Somebody's own data"
labels = { organ = 1 }

[data]
layout = "nnunet"
roots = ["Dataset001_Own"]
channel = 1
empty_masks = true
rename = { core = "organ" }

[plan.default]
dims = 2
spacing_mm = [0.0, 0.0, 0.0]
patch_size = [8, 8]

[[tasks]]
name = "all"
"""


OWN_CASES = ("c0", "c1", "c2", "c3_ed", "c3_es")


def own(root: Path) -> Path:
    """nnU-Net raw with every oddity that any data set can have; the card lies beside it."""
    folder = root / "Dataset001_Own"
    for case, name in enumerate(OWN_CASES):
        for channel in range(2):
            image, mask = folder / "imagesTr" / f"{name}_000{channel}.nii.gz", folder / "labelsTr" / f"{name}.nii.gz"
            tiny_trees.pair(image, mask, 2, 2 * case + channel)
    masks = [folder / "labelsTr" / f"{name}.nii.gz" for name in OWN_CASES]
    _as_floats(masks[0])
    tiny_trees.save(masks[1], 0 * tiny_trees.load(masks[1]))
    tiny_trees.save(masks[2], tiny_trees.load(masks[2]), np.diag([1.0, 1.0, 1.004, 1.0]))
    scaled, bent = (folder / "imagesTr" / f"{name}_0001.nii.gz" for name in OWN_CASES[3:])
    tiny_trees.save(scaled, 1000 * tiny_trees.load(scaled))
    _disagree(bent)
    (folder / "labelsTr" / "._c0.nii.gz").write_bytes(MACOS)
    labels = {"background": 0, "organ": 1, "core": 2}
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": labels, "numTraining": 9, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    (root / "own.toml").write_text(OWN_CARD)
    return root


def _disagree(path: Path) -> None:
    """The voxel spacing of the header becomes another one than that of its affine."""
    image = nib.load(path)
    array = np.asarray(image.dataobj).copy()
    bent = nib.Nifti1Image(array, np.eye(4))
    bent.set_sform(np.eye(4), code=1)
    bent.set_qform(None, code=0)
    bent.header["pixdim"][1:4] = 1.5
    path.write_bytes(sparse_gzip(bent.to_bytes()))


def _as_floats(mask: Path) -> None:
    tiny_trees.save(mask, tiny_trees.load(mask).astype(np.float32))


def _promise(root: Path, count: int) -> None:
    """dataset.json claims that many training cases."""
    path = root / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "numTraining": count}))
