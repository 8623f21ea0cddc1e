"""Whether complete runs belong to the data that are here now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from clbench.errors import InputError
from clbench.runfolder.records import StreamRecord
from clbench.suite.plan import Planned


def fit_data(runs: Sequence[Planned]) -> list[bool]:
    """Whether complete runs were made from the data that are here; True where no data are here to tell.

    Reads and hashes the data of each stream once. A run that does not fit is left to its own command, which says what
    is different.
    """

    @cache
    def record(stream: str, order: str | None, phantom: bool, data: str) -> StreamRecord | None:
        from clbench.assembly import stream_record
        from clbench.streams.load import load_stream

        try:
            return stream_record(load_stream(stream, data=data or None, phantom=phantom, order=order))
        except InputError:
            return None

    records = [
        record(run.config.stream, run.config.order, run.config.phantom, str(run.config.data or "")) for run in runs
    ]
    return [found is None or _same(run, found) for run, found in zip(runs, records, strict=True)]


def _same(run: Planned, record: StreamRecord) -> bool:
    from clbench.runfolder import read_run

    try:
        return read_run(run.path).stream == record
    except InputError:
        return False
