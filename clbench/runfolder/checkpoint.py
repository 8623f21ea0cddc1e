"""Checkpoints: safetensors for tensors, JSON for the rest, never pickle; the last good one always survives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.errors import InputError, RunError
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
        RunError: what was written does not read back right (a full or failing disk).
    """
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    number = max((_number(path) for path in _saved(folder)), default=0) + 1
    temporary = folder / f"{files.TEMPORARY}{number}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    separate = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(separate, temporary / _TENSORS)
    files.sync(temporary / _TENSORS)
    digest = files.file_hash(temporary / _TENSORS)
    files.write_json(temporary / _STATE, {"tensors_sha256": digest, "state": state})
    final = temporary.rename(folder / f"{number:06d}")
    files.sync(folder)
    if _verified_state(final) != json.loads(files.json_bytes(state)):
        raise RunError(f"the checkpoint {final} does not read back as written; is the disk full or failing?")
    for path in _saved(folder):
        if path != final:
            shutil.rmtree(path)


def load(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None when there is none at all.

    Raises:
        RunError: there are checkpoints, and every one is damaged.
    """
    from safetensors.torch import load_file

    saved = sorted(_saved(folder), key=_number, reverse=True)
    for path in saved:
        state = _verified_state(path)
        if state is not None:
            return Checkpoint(load_file(path / _TENSORS), state)
    if saved:
        raise RunError(f"no checkpoint under {folder} is whole; remove that folder to start this run anew")
    return None


def _saved(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir())


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
