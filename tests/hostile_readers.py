"""The readers of files that may come from strangers, each as a function of bytes, with a sound file to start from."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import nibabel
import numpy as np

from clbench.config import config_hash, make_config
from clbench.data.nifti import read_mask, read_volume
from clbench.errors import InputError, RunError
from clbench.report.leaderboard import leaderboard
from clbench.report.leaderboard.files import FORMATS
from clbench.report.load import find_runs
from clbench.report.tables import table
from clbench.resuming import position_of
from clbench.runfolder import checkpoint, files, read_run, summary
from clbench.runfolder.tables import read_train, train_terms
from clbench.streams.card import cards, parse_card
from clbench.suite.file import card_of, read_suite
from clbench.suite.plan import plan_suite
from clbench.verify import check
from mutations import of_json, of_lines, of_nifti, of_packed_nifti, of_safetensors, of_table
from source_tree import ROOT

LEAST_WORTH = 8 * 2**20  # bytes that any reader may take, whatever the file
WORTH_PER_BYTE = 20  # of the file, unpacked where it is packed
DEFLATE_RATIO = 1032
MOST_PLANNED = 20  # runs of a suite; more say nothing new and take their time


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        read: takes the content and an empty folder to put files in; raises InputError or RunError for a bad file.
        seeds: sound contents.
        mutate: changes what a content says and keeps its form; raises a ValueError or the like where it has none.
        packed: whether a byte of the content may stand for a thousand.
        whole_run: whether all that is made of a run folder is made, which takes longer.
    """

    read: Callable[[bytes, Path], object]
    seeds: tuple[bytes, ...]
    mutate: Callable[[bytes, Random], bytes]
    packed: bool = False
    whole_run: bool = False


def warm_up(reader: Reader, folder: Path) -> None:
    """Read every sound file once, so that what is imported on the way is no part of what a file costs."""
    for seed in reader.seeds:
        with suppress(InputError, RunError):  # such as a suite that names a card beside it
            reader.read(seed, folder)


def survives(reader: Reader, content: bytes, folder: Path) -> str:
    """How the reader took it: ``read``, or why it was refused, in words that do not depend on the content.

    Raises:
        AssertionError: it took more memory than the file is worth, or was refused without a word.
    """
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a user would see it
            reader.read(content, folder)
        how = "read"
    except (InputError, RunError) as error:
        how = reason(str(error))
        assert how
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    worth = LEAST_WORTH + len(content) * WORTH_PER_BYTE * (DEFLATE_RATIO if reader.packed else 1)
    assert peak <= worth, f"{peak} bytes for a file of {len(content)}"
    return how


def reason(message: str) -> str:
    """The words of a message, without names, numbers and whatever stands in quotation marks or parentheses."""
    plain = re.sub(r"""'[^']*'|"[^"]*"|\([^)]*\)|\[[^]]*\]""", "", message)
    words = [word for word in re.findall(r"\S+", plain) if re.fullmatch(r"[a-z-]{2,20}[;,:.]?", word)]
    return " ".join(words[:12]) or "refused"


def _card(content: bytes, _: Path) -> object:
    return parse_card(content.decode("utf-8", "replace"), "card")


def _suite(content: bytes, folder: Path) -> object:
    path = folder / "suite.toml"
    path.write_bytes(content)
    suite = read_suite(path)
    runs = sum(len(block.streams) * len(block.strategies) * len(block.seeds) for block in suite.block)
    if runs <= MOST_PLANNED:
        return plan_suite(path, out=folder / "runs", device="cpu")
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
        run = folder / "toy@1" / "naive"
        run.mkdir(parents=True, exist_ok=True)
        for file, sound in RUN.items():
            if not (run / file).exists() or (run / file).read_bytes() != sound:
                (run / file).parent.mkdir(parents=True, exist_ok=True)
                (run / file).write_bytes(sound)
        (run / name).write_bytes(content)
        _refit(run, name)
        runs, left_out = find_runs(folder)  # a damaged run is told, never raised
        if left_out:
            raise InputError(left_out[0].reason)
        for kind in ("md", "csv", "tex"):
            table(runs, kind, left_out).encode()
        board = leaderboard(runs, left_out)
        for text in FORMATS.values():
            text(board).encode()
        if board.left_out:
            raise InputError(board.left_out[0].reason)
        if differences := check(run).differences:
            raise InputError(differences[0].what)
        return board

    return read


def _refit(run: Path, changed: str) -> None:
    """Have all hashes fit the changed file, as a stranger would, so that more than these is looked at."""
    if changed == summary.FILE_NAME:
        return
    with suppress(InputError, LookupError, TypeError, ValueError):
        if changed == "run.json":
            content = files.read_json(run / changed)
            content["config"]["hash"] = config_hash(content["config"]["resolved"])
            (run / changed).write_text(json.dumps(content, indent=1))
        found = read_run(run)
        hashes = summary.hash_files(run)
        fitting = summary.summarize(found.stream, found.regime, found.rows, hashes, found.drift)
        (run / summary.FILE_NAME).write_bytes(files.json_bytes(fitting))


def _train(content: bytes, folder: Path) -> object:
    path = folder / "train.csv"
    path.write_bytes(content)
    return train_terms(path), read_train(path, drop_broken_end=True), read_train(path)


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
    state = {"tensors_sha256": hashlib.sha256(tensors).hexdigest(), "state": STATE}
    (path / "tensors.safetensors").write_bytes(tensors)
    (path / "state.json").write_bytes(content if name == "state.json" else json.dumps(state).encode())
    return position_of(checkpoint.load(folder / "checkpoints"), 2, "cpu, 1 threads", folder)


def _sound_run() -> dict[str, bytes]:
    import tempfile

    from synthetic_runs import drift_of, finished

    with tempfile.TemporaryDirectory() as folder:
        run = finished(Path(folder), drift=drift_of(0.3)).path
        return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


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

    return json.dumps({"tensors_sha256": hashlib.sha256(save({})).hexdigest(), "state": STATE}).encode()


STATE = {
    **{"phase": "training", "task": 1, "step": 3, "device": "cpu, 1 threads"},
    "cost": [{"stage": "train", "task": 1, "seconds": 2.5, "peak_memory_mb": 100.0}],
}
RUN = _sound_run()
SUITES = sorted((ROOT / "benchmarks").glob("*.toml"))
SUITE = b"""[[block]]
streams = ["acdc-groups", "prostate-sites"]
strategies = ["naive", "ewc+segreg"]
seeds = [0, 1]
preset = "smoke"
phantom = false
exclude_bad = true
precision = "float32"
training.steps = 5
options.ewc.weight = 2.5
options.segreg.taps = ["last_linear"]
[block.stream.prostate-sites]
order = "seed:7"
options.ewc.weight = 1
"""
CONFIGS = (
    b"naive",
    b"ewc\newc.weight=1",
    b"ewc+segreg\ntraining.steps=3\ntraining.learning_rate=0.1\nsegreg.weight=0.1\nsegreg.taps=last_linear",
    b"replay+lwf\nreplay.budget=0.1\ntraining.optimizer=sgd\ntraining.augment=false\nlwf.weight=0.5",
)
READERS = {
    "card": Reader(_card, tuple(text.encode() for text in cards().values()), of_lines),
    "suite": Reader(_suite, (*(path.read_bytes() for path in SUITES), SUITE), of_lines),
    "config": Reader(_config, CONFIGS, of_lines),
    "run.json": Reader(_in_run("run.json"), (RUN["run.json"],), of_json, whole_run=True),
    "cases.csv": Reader(_in_run("cases.csv"), (RUN["cases.csv"],), of_table, whole_run=True),
    "drift.csv": Reader(_in_run("drift.csv"), (RUN["drift.csv"],), of_table, whole_run=True),
    "summary.json": Reader(_in_run("summary.json"), (RUN["summary.json"],), of_json, whole_run=True),
    "cost.json": Reader(_in_run("cost.json"), (RUN["cost.json"],), of_json, whole_run=True),
    "train.csv": Reader(_train, (RUN["train.csv"],), of_table),
    "state.json": Reader(_state, (_sound_state(),), of_json),
    "safetensors": Reader(_tensors, (_safetensors(),), of_safetensors),
    "nifti": Reader(_nifti, _images(), of_nifti),
    "nifti.gz": Reader(_gzipped, tuple(gzip.compress(image) for image in _images()), of_packed_nifti, packed=True),
}
