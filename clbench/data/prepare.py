"""Prepared cases: read, oriented, resampled and normalized once, then shared by every process as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clbench.data.case import Case
from clbench.data.fingerprint import file_sha256
from clbench.data.geometry import Geometry, Grid, make_geometry, ras_axes, reorder, restore
from clbench.data.nifti import RawCase, read_case
from clbench.data.shifts import apply_shift
from clbench.errors import CacheError, InputError, RunError, cache_error

FORMAT = 1  # raise it whenever the same raw bytes and settings would be prepared differently, shifts included
MOST_FOREGROUND = 10_000
OPEN_MAPS = 256  # a map keeps a file handle, and systems allow about a thousand


@dataclass(frozen=True)
class Prepared:
    """A case on the grid it is trained on. Holds paths only, so that it is cheap to send to another process.

    Attributes:
        case: where it came from.
        folder: where its arrays are.
        geometry: how to get back to the native grid.
        labels_present: label values, without background, that occur in the mask, sorted.
    """

    case: Case
    folder: Path
    geometry: Geometry
    labels_present: tuple[int, ...]

    @property
    def image(self) -> NDArray[Any]:
        """(C, X, Y, Z) float16, mean 0 and std 1 per channel; a read-only memory map in Fortran order."""
        return _mapped(f"{self.folder}/image.npy")

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(X, Y, Z) uint8 stream label values; a read-only memory map in Fortran order."""
        return _mapped(f"{self.folder}/mask.npy")

    def foreground(self, label: int) -> NDArray[np.integer[Any]]:
        """(N, 3) voxel indices of a label in ``labels_present``: all of them, or 10,000 evenly spaced ones."""
        return _mapped(f"{self.folder}/foreground_{label}.npy")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the prepared axes."""
        return self.geometry.spacing_mm


def prepare_cases(cases: Iterable[Case], plan: Grid, cache: Path, workers: int = 0) -> dict[str, Prepared]:
    """Prepare cases, or find them in the cache; one that cannot be used does not keep the others from being prepared.

    Args:
        cases: with unique case ids.
        plan: grid.
        cache: cache folder, created when missing.
        workers: threads; 0 and 1 prepare in this thread. The result does not depend on it.

    Returns:
        case_id -> prepared case.

    Raises:
        InputError: as ``prepare_case``, for the first case in order that cannot be prepared, with the number of them.
    """
    every = list(cases)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        jobs = [pool.submit(prepare_case, case, plan, cache) for case in every]
        try:
            return _collected(every, jobs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _collected(cases: Iterable[Case], jobs: Iterable[Future[Prepared]]) -> dict[str, Prepared]:
    found: dict[str, Prepared] = {}
    problems: list[str] = []
    for case, job in zip(cases, jobs, strict=True):
        try:
            found[case.case_id] = job.result()
        except CacheError:
            raise
        except InputError as error:
            problems.append(str(error))
    if len(problems) > 1:
        raise InputError(f"{problems[0]} ({len(problems)} cases cannot be used; 'clbench data check' lists them all)")
    if problems:
        raise InputError(problems[0])
    return found


def prepare_case(case: Case, plan: Grid, cache: Path) -> Prepared:
    """Prepare one case, or find it in the cache.

    Orients to RAS, applies the case's acquisition shift, resamples to the plan's spacing and normalizes each channel to
    mean 0 and standard deviation 1 over the whole volume. The cache folder is
    ``<cache>/prepared/<2 digits>/<SHA-256 of raw bytes and settings>/``; it appears in one piece or not at all.

    Args:
        case: the case.
        plan: grid.
        cache: cache folder, created when missing.

    Raises:
        InputError: the files cannot be read or do not fit, the image is constant, or the cache cannot be written.
        RunError: what was just written cannot be read back.
    """
    key = cache_key(case, plan)
    folder = cache / "prepared" / key[:2] / key
    found = _load(case, folder)
    if found is None:
        _store(folder, *_prepare(case, plan))
        found = _load(case, folder)
    if found is None:
        raise RunError(f"{folder}: a prepared case cannot be read back; delete the folder and run again")
    return found


def cache_key(case: Case, plan: Grid) -> str:
    """SHA-256 (64 hex digits) of everything that decides what is stored."""
    content = {
        "format": FORMAT,
        "images": [file_sha256(path) for path in case.images],
        "mask": file_sha256(case.mask),
        "channel": case.channel,
        "label_values": sorted((int(raw), int(value)) for raw, value in case.label_values.items()),
        "shift": [case.shift, case.case_id] if case.shift else [],  # a shift's strength is drawn by case id
        "dims": plan.dims,
        "spacing_mm": [float(size) for size in plan.spacing_mm],
    }
    if reading := case.reading():
        content["reading"] = reading
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _prepare(case: Case, plan: Grid) -> tuple[Geometry, dict[str, NDArray[Any]]]:
    """Geometry and arrays by file name."""
    raw = read_case(case)
    x, y, z = raw.mask.shape
    try:
        geometry = make_geometry((x, y, z), raw.affine, raw.spacing_mm, plan)
        image = _normalized(geometry.prepare_image(_shifted(case, raw)))
    except InputError as error:
        raise InputError(f"{case.images[0]}: {error}") from None
    mask = geometry.prepare_mask(raw.mask)
    arrays: dict[str, NDArray[Any]] = {"image.npy": image, "mask.npy": mask}
    for label in np.unique(mask).tolist():
        if label:
            arrays[f"foreground_{label}.npy"] = _voxels(mask, label)
    return geometry, arrays


def _shifted(case: Case, raw: RawCase) -> NDArray[np.float32]:
    """The image after the case's shift, which acts in RAS order so that it does not depend on the file's axes."""
    if not case.shift:
        return raw.image
    axes, flipped = ras_axes(raw.affine)
    channels = [apply_shift(case.shift, channel, case.case_id) for channel in reorder(raw.image, axes, flipped)]
    return restore(np.stack(channels), axes, flipped)


def _normalized(image: NDArray[np.float32]) -> NDArray[np.float16]:
    """Z-scores per channel; float16 cannot overflow, since no z-score of n voxels exceeds sqrt(n)."""
    scored = np.empty_like(image, dtype=np.float16)
    for number, channel in enumerate(image):
        mean, std = float(channel.mean(dtype=np.float64)), float(channel.std(dtype=np.float64))
        if std <= 1e-7 * float(np.abs(channel).max()):
            raise InputError(
                f"channel {number} of the image is constant ({mean:g}); remove the case or repair the file"
            )
        scored[number] = (channel - mean) / std
    return scored


def _voxels(mask: NDArray[np.uint8], label: int) -> NDArray[np.integer[Any]]:
    found = np.flatnonzero(mask.ravel(order="F") == label)
    if len(found) > MOST_FOREGROUND:
        found = found[np.linspace(0, len(found) - 1, MOST_FOREGROUND).astype(np.int64)]
    dtype = np.int16 if max(mask.shape) < 2**15 else np.int32
    return np.stack(np.unravel_index(found, mask.shape, order="F"), axis=1).astype(dtype)


def _store(folder: Path, geometry: Geometry, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write beside the final place, then rename: readers see all of it or nothing."""
    temporary = folder.parent / f".{folder.name[:16]}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        sizes = {name: _save(temporary / name, array) for name, array in arrays.items()}
        meta = json.dumps({"format": FORMAT, "geometry": geometry.as_json(), "bytes": sizes}, indent=1)
        (temporary / "meta.json").write_text(meta + "\n", encoding="utf-8")
        _publish(temporary, folder)
    except OSError as error:
        raise cache_error(folder.parent, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _save(path: Path, array: NDArray[Any]) -> int:
    """Write an array through to the disk; returns the bytes of the file."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _publish(temporary: Path, folder: Path) -> None:
    """Rename into place; a sound folder already there wins, a broken one is moved out of the way."""
    for _ in range(3):
        with suppress(OSError):
            temporary.rename(folder)
            _mapped.cache_clear()  # a map may still show what lay there before
            return
        if _read_meta(folder) is not None:
            return
        broken = temporary.with_name(temporary.name + "-broken")
        with suppress(FileNotFoundError):
            folder.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)
    temporary.rename(folder)


def _load(case: Case, folder: Path) -> Prepared | None:
    meta = _read_meta(folder)
    if meta is None:
        return None
    geometry, sizes = meta
    names = (name.removeprefix("foreground_").removesuffix(".npy") for name in sizes if name.startswith("foreground_"))
    return Prepared(case, folder, geometry, tuple(sorted(int(name) for name in names)))


def _read_meta(folder: Path) -> tuple[Geometry, dict[str, int]] | None:
    """Geometry and file sizes, or None when anything is missing, cut off or of another shape."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        geometry, sizes = Geometry.from_json(meta["geometry"]), dict(meta["bytes"])
        shapes = [np.load(folder / name, mmap_mode="r", allow_pickle=False).shape for name in ("image.npy", "mask.npy")]
        complete = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    fits = shapes[0][1:] == geometry.shape and shapes[1] == geometry.shape
    return (geometry, sizes) if complete and fits and meta.get("format") == FORMAT else None


@lru_cache(maxsize=OPEN_MAPS)
def _mapped(path: str) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: lost from the cache during the run ({error}); run again") from None
    return np.asarray(array)  # a plain view: slicing np.memmap itself is slow
