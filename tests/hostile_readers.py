"""The readers of files that may come from strangers, each as a function of bytes, with a sound file to start from."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from clbench.config import make_config
from clbench.data.nifti import read_mask, read_volume
from clbench.errors import InputError, RunError
from clbench.report.load import find_runs
from clbench.report.tables import table
from clbench.runfolder import checkpoint, read_run
from clbench.streams.card import cards, parse_card
from clbench.suite.file import card_of, read_suite
from source_tree import ROOT

LEAST_WORTH = 8 * 2**20  # bytes that any reader may take, whatever the file
WORTH_PER_BYTE = 20  # of the file, unpacked where it is packed
DEFLATE_RATIO = 1032


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        read: takes the content and an empty folder to put files in; raises InputError or RunError for a bad file.
        seeds: sound contents.
        packed: whether a byte of the content may stand for a thousand.
    """

    read: Callable[[bytes, Path], object]
    seeds: tuple[bytes, ...]
    packed: bool = False


def warm_up(reader: Reader, folder: Path) -> None:
    """Read every sound file once, so that what is imported on the way is no part of what a file costs."""
    for seed in reader.seeds:
        with suppress(InputError, RunError):  # such as a suite that names a card beside it
            reader.read(seed, folder)


def survives(reader: Reader, content: bytes, folder: Path) -> str:
    """``read`` or ``refused``; anything else that the reader does is raised.

    Raises:
        AssertionError: it took more memory than the file is worth.
    """
    tracemalloc.start()
    try:
        reader.read(content, folder)
        how = "read"
    except (InputError, RunError) as error:
        how = "refused" if str(error).strip() else "refused without a word"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    worth = LEAST_WORTH + len(content) * WORTH_PER_BYTE * (DEFLATE_RATIO if reader.packed else 1)
    assert peak <= worth, f"{peak} bytes for a file of {len(content)}"
    return how


def _card(content: bytes, _: Path) -> object:
    return parse_card(content.decode("utf-8", "replace"), "card")


def _suite(content: bytes, folder: Path) -> object:
    path = folder / "suite.toml"
    path.write_bytes(content)
    suite = read_suite(path)
    return [card_of(stream, path) for block in suite.block for stream in block.streams]


def _config(content: bytes, _: Path) -> object:
    """Settings as words of a command line: strategy, then one KEY=VALUE per line."""
    strategy, *settings = content.decode("utf-8", "replace").split("\n")
    return make_config(stream="prostate-sites", strategy=strategy, settings=settings)


def _nifti(content: bytes, folder: Path) -> object:
    path = folder / "a.nii"
    path.write_bytes(content)
    try:
        return read_volume(path)
    except InputError:
        return read_mask(path)


def _gzipped(content: bytes, folder: Path) -> object:
    path = folder / "a.nii.gz"
    path.write_bytes(content)
    return read_volume(path)


def _in_run(name: str) -> Callable[[bytes, Path], object]:
    def read(content: bytes, folder: Path) -> object:
        run = folder / "toy@1" / "naive-s0-00000000"
        run.mkdir(parents=True, exist_ok=True)
        for file, sound in RUN.items():
            if not (run / file).exists() or (run / file).read_bytes() != sound:
                (run / file).write_bytes(sound)
        (run / name).write_bytes(content)
        runs, left_out = find_runs(folder)  # a damaged run is told, never raised
        for kind in ("md", "csv", "tex"):
            table(runs, kind, left_out)
        found = read_run(run)
        with suppress(ValueError):  # rows that come to no scores, which the table above tells
            found.summary_fault()
        return found

    return read


def _state(content: bytes, folder: Path) -> object:
    return _checkpoint(content, folder, "state.json")


def _tensors(content: bytes, folder: Path) -> object:
    return _checkpoint(content, folder, "tensors.safetensors")


def _checkpoint(content: bytes, folder: Path, name: str) -> object:
    """A checkpoint of which one file is not what it should be, with the hash in the other made to fit."""
    import hashlib

    from safetensors.torch import save

    path = folder / "checkpoints" / "000001"
    path.mkdir(parents=True, exist_ok=True)
    tensors = content if name == "tensors.safetensors" else save({})
    state = {"tensors_sha256": hashlib.sha256(tensors).hexdigest(), "state": {"step": 1}}
    (path / "tensors.safetensors").write_bytes(tensors)
    (path / "state.json").write_bytes(content if name == "state.json" else json.dumps(state).encode())
    return checkpoint.load(folder / "checkpoints")


def _sound_run() -> dict[str, bytes]:
    import tempfile

    from synthetic_runs import finished

    with tempfile.TemporaryDirectory() as folder:
        run = finished(Path(folder))
        return {name: (run.path / name).read_bytes() for name in ("run.json", "cases.csv", "summary.json", "cost.json")}


def _images() -> tuple[bytes, ...]:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    kinds = (nibabel.Nifti1Image, nibabel.Nifti2Image)
    return tuple(kind(array.astype(dtype), np.eye(4)).to_bytes() for kind in kinds for dtype in ("i2", "f4"))


def _safetensors() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"network/a": torch.zeros(2, 3), "b": torch.ones(1, dtype=torch.int64)})


def _sound_state() -> bytes:
    import hashlib

    from safetensors.torch import save

    return json.dumps({"tensors_sha256": hashlib.sha256(save({})).hexdigest(), "state": {"step": 1}}).encode()


RUN = _sound_run()
READERS = {
    "card": Reader(_card, tuple(text.encode() for text in cards().values())),
    "suite": Reader(_suite, tuple(path.read_bytes() for path in sorted((ROOT / "benchmarks").glob("*.toml")))),
    "config": Reader(_config, (b"ewc\newc.weight=1", b"ewc+segreg\ntraining.steps=3\nsegreg.weight=0.1", b"naive")),
    "run.json": Reader(_in_run("run.json"), (RUN["run.json"],)),
    "cases.csv": Reader(_in_run("cases.csv"), (RUN["cases.csv"],)),
    "summary.json": Reader(_in_run("summary.json"), (RUN["summary.json"],)),
    "cost.json": Reader(_in_run("cost.json"), (RUN["cost.json"],)),
    "state.json": Reader(_state, (_sound_state(),)),
    "safetensors": Reader(_tensors, (_safetensors(),)),
    "nifti": Reader(_nifti, _images()),
    "nifti.gz": Reader(_gzipped, tuple(gzip.compress(image) for image in _images()), packed=True),
}
