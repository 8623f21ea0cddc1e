"""What the tests of verify share: run folders of every kind of file, and what is found in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clbench.ranking import rank
from clbench.runfolder import TrainRow, read_run
from clbench.verify import verify
from synthetic_runs import case_rows, config, drift_of, open_folder


def found(path: Path, data: Path | None = None) -> str:
    """What verify finds, a line each."""
    return "\n".join(map(str, verify(path, data)))


def ranked(out: Path) -> bool:
    """Whether a leaderboard shows the folder's only run, which it otherwise names as left out."""
    board = rank(out)
    assert bool(board.boards) != bool(board.left_out)
    return bool(board.boards)


def whole(out: Path):
    """A run folder with a file of every kind; two predictions and checkpoint files, so that none is a folder's last."""
    with open_folder(out, config("ewc")) as folder:
        folder.write_cases(case_rows())
        folder.append_train([TrainRow(1, 1, {"loss": 1.5}, 0.01, 0.1)])
        folder.write_cost({"stages": []})
        folder.write_drift(drift_of(0.25))
        for case in ("A/0", "B/0"):
            folder.write_prediction(2, case, np.ones((4, 5, 3), np.uint8), np.eye(4))
        folder.save_checkpoint({"weight": torch.ones(3)}, {"step": 1})
        folder.finish()
    return read_run(folder.path)
