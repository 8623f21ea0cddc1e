"""Checkpoints: safetensors for tensors, JSON for the rest, never pickle; the last good one always survives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.errors import InputError, RunError, disk_error, writing
from clbench.runfolder import files

if TYPE_CHECKING:
    from torch import Tensor

_TENSORS, _STATE = "tensors.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        tensors: name -> tensor, on the CPU.
        state: everything else, as JSON has it.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Add a checkpoint to ``folder``; older ones are removed only after it is whole on the disk and reads back right.

    Args:
        folder: where checkpoints go; made if missing.
        tensors: name -> tensor of any dtype, shape and device; tensors that share memory are stored each on its own.
        state: content for JSON, without NaN; tuples come back as lists.

    Raises:
        ValueError: the state holds NaN or infinity.
        RunError: the disk is full or fails, or what was written does not read back right.
    """
    with writing(folder):
        folder.mkdir(exist_ok=True)
        number = max((_number(path) for path in _saved(folder)), default=0) + 1
        temporary = folder / f"{files.TEMPORARY}{number}"
        try:
            _write(temporary, tensors, state)
            final = temporary.rename(folder / f"{number:06d}")
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)  # half a checkpoint only fills the disk
            raise
        files.sync(folder)
    if _verified_state(final) != json.loads(files.json_bytes(state)):
        raise RunError(f"the checkpoint {final} does not read back as written; is the disk full or failing?")
    _remove_all_but(final)


def keep_newest(folder: Path) -> None:
    """Remove all checkpoints but the newest whole one; a process killed after it saved one leaves more."""
    if len(list(_saved(folder))) > 1:
        found = next((path for path in _newest_first(folder) if _verified_state(path) is not None), None)
        if found is not None:
            _remove_all_but(found)


def _remove_all_but(kept: Path) -> None:
    for path in _saved(kept.parent):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)  # one that stays is older or damaged, and so never read


def _write(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write both files of a checkpoint through to the disk."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    separate = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(separate, folder / _TENSORS)
    except SafetensorError as error:
        raise disk_error(folder, error) from None
    files.sync(folder / _TENSORS)
    digest = files.file_hash(folder / _TENSORS)
    files.write_json(folder / _STATE, {"tensors_sha256": digest, "state": state})


def load(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None when there is none at all.

    Raises:
        RunError: there are checkpoints, and every one is damaged.
    """
    saved = _newest_first(folder)
    for path in saved:
        state = _verified_state(path)
        tensors = None if state is None else _tensors(path / _TENSORS)
        if state is not None and tensors is not None:
            return Checkpoint(tensors, state)
    if saved:
        raise RunError(f"no checkpoint under {folder} is whole; remove that folder to start this run anew")
    return None


def _tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a safetensors file; None for anything else, such as a pickle with the hash that its JSON names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError):
        return None
    return tensors


def _saved(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir())


def _newest_first(folder: Path) -> list[Path]:
    return sorted(_saved(folder), key=_number, reverse=True)


def _number(path: Path) -> int:
    return int(path.name)


def _verified_state(path: Path) -> dict[str, Any] | None:
    """The state of a checkpoint whose tensors have the hash it names, else None."""
    try:
        content = files.read_json(path / _STATE)
        whole = content["tensors_sha256"] == files.file_hash(path / _TENSORS)
        return dict(content["state"]) if whole else None
    except (InputError, OSError, KeyError, TypeError, ValueError):
        return None
