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
    is different; so is one that left cases out, since only that command looks at them again.
    """

    @cache
    def record(stream: str, order: str | None, phantom: bool, data: str, anonymize: bool) -> StreamRecord | None:
        from clbench.naming import salted
        from clbench.recording import stream_record
        from clbench.streams.load import load_stream

        try:
            loaded = load_stream(stream, data=data or None, phantom=phantom, order=order)
            return stream_record(loaded, salted() if anonymize else None)
        except InputError:
            return None

    given = [run.config for run in runs]
    records = [record(one.stream, one.order, one.phantom, str(one.data or ""), one.anonymize) for one in given]
    return [found is None or _same(run, found) for run, found in zip(runs, records, strict=True)]


def _same(run: Planned, record: StreamRecord) -> bool:
    from clbench.runfolder import read_run

    try:
        return read_run(run.path).stream == record
    except InputError:
        return False
