"""Recording: what ``run.json`` says of a stream that is at hand."""

from __future__ import annotations

from clbench.data.fingerprint import fingerprint
from clbench.naming import Naming
from clbench.runfolder import StreamRecord, TaskRecord
from clbench.streams.stream import SPLITS, Stream


def stream_record(stream: Stream, naming: Naming | None = None) -> StreamRecord:
    """What ``run.json`` says of the stream, with cases named as the run names them; hashes every raw file."""
    name = naming or Naming()
    tasks = tuple(
        TaskRecord(
            task.name,
            tuple(stream.label_name(value) for value in task.labels),
            {split: tuple(sorted(name.case(case.case_id) for case in task.split(split))) for split in SPLITS},
        )
        for task in stream.tasks
    )
    return StreamRecord(
        stream.key,
        stream.kind,
        dict(stream.labels),
        fingerprint(stream.cases, stream.excluded),
        tasks,
        excluded={name.case(case_id): reason for case_id, reason in stream.excluded.items()},
        anonymized=name.mark,
    )
