"""What the data behind the published results are: reduced, in part altered copies of public data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clbench.report.markup import escape_markdown
from clbench.runfolder import Run
from clbench.streams.stream import SPLITS

SECTION = "results.md#the-data-behind-these-numbers"


@dataclass(frozen=True)
class Copy:
    """A copy of a public data set.

    Attributes:
        data_set: its name.
        size: how much of it there is.
        short: what is altered, in a few words; empty where nothing is.
        altered: the same in full.
    """

    data_set: str
    size: str
    short: str
    altered: str


ACDC = Copy(
    "ACDC",
    "70 of the 100 published patients, 14 of the 20 in each disease group",
    "cropped around the heart, intensities rescaled, voxel spacing lost",
    "Intensities are min-max scaled per volume and stored as int16 from 0 to 1000. The plane is cropped to 128 × 128 "
    "pixels around the heart. The voxel spacing was lost: every header says 1 × 1 × 1 mm, so distances in mm "
    "(`hd95_mm`, `assd_mm`, `nsd_2mm`) mean nothing on these streams; `clbench data check` says so (`spacing-lost`).",
)
HIPPOCAMPUS = Copy(
    "Medical Segmentation Decathlon, task 4 (hippocampus)",
    "200 of the 260 published cases",
    "",
    "The files are as published.",
)
COPIES = {"1ccd92a4": ACDC, "ec54871a": HIPPOCAMPUS, "a8c78bef": HIPPOCAMPUS}
"""First digits of a fingerprint -> the copy that has it."""
OF_STREAM = {
    "acdc-groups": (ACDC, "per group 10 train, 1 val and 3 test patients"),
    "acdc-classes": (ACDC, "49 train, 7 val and 14 test patients"),
    "hippocampus-classes": (HIPPOCAMPUS, "140 train, 20 val and 40 test patients"),
    "hippocampus-shifts": (HIPPOCAMPUS, "140 train, 20 val and 40 test patients in all"),
}
"""Stream of published results -> its copy, and how many patients of it a split has; tests hold the runs against it."""


def behind(runs: Sequence[Run]) -> str:
    """A section: what each stream of the runs was read from, and how many cases of it there are."""
    lines = ["| stream | data | train cases | val cases | test cases | a copy of |", "|---|---|---:|---:|---:|---|"]
    there = [run for run in runs if not run.stream.key.endswith("+phantom")]
    real = {(run.stream.key, run.stream.fingerprint): run for run in there}
    copies: dict[Copy, None] = {}
    for (stream, fingerprint), run in sorted(real.items()):
        copy = COPIES.get(fingerprint[:8])
        told = f"{copy.data_set}, {copy.size}" if copy else "not recorded"
        counts = [str(len({case for task in run.stream.tasks for case in task.cases.get(s, ())})) for s in SPLITS]
        lines.append(f"| {escape_markdown(stream)} | {fingerprint[:8]} | {' | '.join(counts)} | {told} |")
        copies |= {copy: None} if copy else {}
    notes = [f"- {copy.data_set}: {copy.altered}" for copy in copies]
    parts = ["## The data behind these numbers", INTRODUCTION, "\n".join(lines), "\n".join(notes)]
    return "\n\n".join(parts).strip()


INTRODUCTION = (
    "The published runs on real data are not of the data sets as anyone downloads them, but of reduced and in part "
    "altered copies. The published data give another fingerprint, other splits and so other numbers: compare "
    "strategies inside a table here, not these numbers with those of a paper or of your own download."
)


def in_a_sentence(fingerprint: str) -> str:
    """What to know of the data of a table; empty where they are of no copy."""
    copy = COPIES.get(fingerprint[:8])
    if copy is None:
        return ""
    altered = f" ({copy.short})" if copy.short else ""
    return (
        f"The data are a reduced {'and altered ' if copy.short else ''}copy of {copy.data_set}: {copy.size}{altered}."
    )


def in_the_streams_page(name: str) -> str:
    """What docs/streams.md says behind the published counts of a stream; empty where no result of it is published."""
    if name not in OF_STREAM:
        return ""
    copy, counts = OF_STREAM[name]
    altered = f", {copy.short}" if copy.short else ""
    return f"\n[Published results]({SECTION}) are of a copy: {copy.size}{altered}; {counts}."
