"""Raw data of a run: the images and masks that it was trained and scored on, where they are at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clbench.errors import InputError
from clbench.runfolder import Run, StreamRecord

if TYPE_CHECKING:
    from clbench.data.nifti import RawCase


@dataclass(frozen=True)
class RawData:
    """The data of a stream as they are on disk, with cases and patients named as the run names them.

    Attributes:
        record: what a run on them says of the stream.
        patients: case -> patient.
        read: case -> raw case.
    """

    record: StreamRecord
    patients: Mapping[str, str]
    read: Callable[[str], RawCase]


def raw_data(run: Run, data_root: Path | None = None, card: str = "") -> RawData:
    """The run's stream as it is on disk.

    Args:
        run: whose stream it is.
        data_root: None uses CLBENCH_DATA, or the phantom for a phantom run.
        card: file or name of the stream; needed for a stream of one's own, ignored for runs on other streams.

    Raises:
        InputError: the data or the card are not there.
    """
    from clbench.data.nifti import read_case
    from clbench.naming import naming_of
    from clbench.recording import stream_record
    from clbench.streams.key import parse_key
    from clbench.streams.load import load_stream
    from clbench.streams.soundness import without_cases

    key = parse_key(run.stream.key)
    name = _stream_name(run, f"{key.name}@{key.version}", card)
    naming = naming_of(run.stream.anonymized)
    stream = load_stream(name, data=data_root, phantom=key.phantom, order=key.order or None)
    left_out = naming.ids(run.stream.excluded, [case.case_id for case in stream.cases])
    stream = without_cases(stream, {case_id: run.stream.excluded[name] for name, case_id in left_out.items()})
    cases = {naming.case(case.case_id): case for case in stream.cases}
    patients = {name: naming.patient(case.patient_id) for name, case in cases.items()}
    return RawData(stream_record(stream, naming), patients, lambda case_id: read_case(cases[case_id]))


def _stream_name(run: Run, version: str, card: str) -> str:
    """What to load: the card if it is of the run's stream, else the shipped stream of that name and version."""
    from clbench.streams.card import card_text, cards, parse_card

    if card:
        parsed = parse_card(card_text(card), card)
        if f"{parsed.name}@{parsed.version}" == version:
            return card
    if version.partition("@")[0] not in cards():
        raise InputError(f"{run.path}: stream {version} is not shipped with clbench; give its card with --stream FILE")
    return version
