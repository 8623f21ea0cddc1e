"""Run folders: the only reader and writer of what a run leaves behind.

with RunFolder.create_or_resume(out, strategy=..., seed=..., ...) as folder:
    if folder.status != "complete":
        ...
        folder.finish()
run = read_run(folder.path)
"""

from __future__ import annotations

from clbench.case_table import CaseRow
from clbench.runfolder.checkpoint import Checkpoint
from clbench.runfolder.folder import RunFolder
from clbench.runfolder.reading import Run, read_run
from clbench.runfolder.records import StreamRecord, TaskRecord
from clbench.runfolder.tables import TrainRow

__all__ = ["CaseRow", "Checkpoint", "Run", "RunFolder", "StreamRecord", "TaskRecord", "TrainRow", "read_run"]
