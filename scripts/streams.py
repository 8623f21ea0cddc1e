"""Write what docs/streams.md says of each card: source, labels, plan, cases per task and split, traps, and its check.

Usage: python scripts/streams.py [--check] [--cards]

``--check`` writes nothing and exits 1 when the page is out of date; ``--cards`` leaves out what needs the phantoms,
which are otherwise built and read in full.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import published_data
from rich.console import Console

from clbench.console import show_check
from clbench.data.check import inspect_cases
from clbench.data.layouts import acdc, mnms
from clbench.data.layouts.known_traps import ANY, KNOWN_TRAPS, KnownTrap
from clbench.data.splits import split_patients
from clbench.streams.card import Card, DataCard, cards, parse_card
from clbench.streams.load import load_stream
from clbench.streams.stream import SPLITS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "streams.md"
CARDS = {name: parse_card(text, name) for name, text in cards().items()}
WIDTH = 118  # of what a check prints


def _numbered(raw: Mapping[int, str]) -> str:
    return ", ".join(f"{value} {name}" for value, name in raw.items() if value)


FILES = {
    "prostate-saml": "`RUNMC/Case00.nii.gz`, `RUNMC/Case00_segmentation.nii.gz`, …",
    "acdc": "`patient001/{Info.cfg, patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz}`, …",
    "mnms": "the CSV of the data set information, `Training/Labeled/<code>/<code>_sa.nii.gz`, `<code>_sa_gt.nii.gz`, …",
    "harp": "`100/ADNI_*.mnc`, `Labels_100_NIFTI/ADNI_*_L.nii`, …",
    "dryad": "`s01/s01_t1w_standard_defaced_MNI.nii.gz`, `s01/s01_hippolabels_t1w_standard_L_MNI.nii.gz`, …",
    "decathlon": "the pairs that `dataset.json` lists",
    "nnunet": "`dataset.json`, `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`",
}
LABELS = {
    "prostate-saml": "every value but 0",
    "acdc": _numbered(acdc.RAW_LABELS),
    "mnms": _numbered(mnms.RAW_LABELS),
    "harp": "the larger of the two values of a mask",
    "dryad": "1 subiculum, 2 CA1-3, 3 CA4 and dentate gyrus, merged",
    "decathlon": "the names in `dataset.json`",
    "nnunet": "the names in `dataset.json`",
}
NO_YES = ("no", "yes")
# what these cards cannot say themselves: their text is part of the identity of published results
_ACDC = "Register, download ACDC and unpack it to `acdc/training`."
_HIPPOCAMPUS = "Download `Task04_Hippocampus.tar` and unpack it, alone or to `msd`."
ABOUT = {
    "acdc-groups": {"get": _ACDC, "patients": "NOR 20, HCM 20, RV 20, MINF 20, DCM 20"},
    "acdc-classes": {"get": _ACDC, "patients": "rv 100, myocardium 100, lv 100"},
    "hippocampus-classes": {"get": _HIPPOCAMPUS, "patients": "anterior 260, posterior 260"},
    "hippocampus-shifts": {"get": _HIPPOCAMPUS, "patients": ""},
}


def sources(card: Card) -> list[DataCard]:
    """The data tables of a card, each once."""
    found = {source.model_dump_json(): source for source in (card.data, *(task.data for task in card.tasks)) if source}
    return list(found.values())


def facts(card: Card) -> str:
    """What a card says, as a table."""
    about = ABOUT.get(card.name, {}) | card.about
    layouts = "; ".join(f"`{source.layout}`: {FILES[source.layout]}" for source in sources(card))
    folders = "; ".join(", ".join(f"`{folder}`" for folder in source.roots) for source in sources(card))
    raw = {source.layout: LABELS[source.layout] for source in sources(card)}
    renamed = [f"{old} → {new}" for source in sources(card) for old, new in source.rename.items()]
    labels = ", ".join(f"{name} ({value})" for name, value in card.labels.items())
    rows = {
        "source": re.sub(r"https?://[^ ,]+", r"<\g<0>>", about["url"]),
        "how to get it": about["get"],
        "licence": about["licence"],
        "citation": about["citation"],
        "layout" if len(sources(card)) == 1 else "layouts": layouts,
        "looked for in": folders,
        "labels": labels,
        "masks hold": "; ".join([*(f"`{layout}`: {text}" for layout, text in raw.items()), *renamed]),
    }
    for name, plan in card.plan.items():
        spacing, patch = (
            " × ".join(f"{number:g}" for number in numbers) for numbers in (plan.spacing_mm, plan.patch_size)
        )
        mirror = " ".join(map(str, plan.mirror_axes))
        rows[f"plan `{name}`"] = (
            f"{plan.dims}-D, spacing {spacing}, patch {patch}, mirror {mirror}, rotation {plan.rotation_deg:g}"
        )
    rows["order"] = ", ".join(task.name for task in card.tasks)
    rows |= {f"order `{name}`": ", ".join(order) for name, order in card.orders.items()}
    return "\n".join(
        [f"{card.title}.", "", "| | |", "|---|---|", *(f"| {key} | {text} |" for key, text in rows.items())]
    )


def published(card: Card) -> dict[str, int]:
    """Task -> patients of the published data set; tasks whose number is not known are left out."""
    text = (ABOUT.get(card.name, {}) | card.about).get("patients", "")
    return {name: int(count) for name, count in (entry.rsplit(" ", 1) for entry in text.split(", ") if entry)}


def sizes(card: Card) -> str:
    """Patients per task as published, and how many of them a split takes: that depends on their number alone."""
    rows = []
    for name, count in published(card).items():
        split: list[str] = list(split_patients(map(str, range(count)), "").values())
        rows.append(f"| {name} | {count} | {' | '.join(str(split.count(part)) for part in SPLITS)} |")
    if not rows:
        return ""
    return "\n".join(["", f"| task | patients as published | {' | '.join(SPLITS)} |", "|---|---|---|---|---|", *rows])


def trap_table(traps: Iterator[KnownTrap] | tuple[KnownTrap, ...]) -> str:
    rows = [f"| `{trap.kind}` | {trap.met} | {trap.done} |" for trap in traps]
    return "\n".join(["", "| trap | met | what clbench does |", "|---|---|---|", *rows]) if rows else ""


def described(card: Card) -> str:
    layouts = dict.fromkeys(source.layout for source in sources(card))
    copied = published_data.in_the_streams_page(card.name)
    parts = [
        facts(card),
        sizes(card),
        copied,
        trap_table(tuple(trap for layout in layouts for trap in KNOWN_TRAPS[layout])),
    ]
    return "\n".join(part for part in parts if part)


def listed() -> str:
    rows = [
        f"| `{name}` | {card.kind} | {', '.join(task.name for task in card.tasks)} | {NO_YES[bool(card.phantom)]} |"
        for name, card in CARDS.items()
    ]
    own = "| your own | both | a TOML card: [how](add-a-stream.md) | no |"
    return "\n".join(["| stream | kind | tasks in order | phantom |", "|---|---|---|---|", *rows, own])


def checked(name: str) -> str:
    """What ``clbench data check`` prints on the phantom."""
    stream = load_stream(name, phantom=True)
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    show_check(console, stream, inspect_cases(stream.cases))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join([f"`clbench data check {name} --phantom` prints:", "", "```text", *lines, "```"])


def blocks(*, phantoms: bool) -> dict[str, str]:
    """Marker -> what stands between it and its end."""
    found = {"list": listed(), "traps of any": trap_table(KNOWN_TRAPS[ANY])}
    found |= {f"card {name}": described(card) for name, card in CARDS.items()}
    if phantoms:
        found |= {f"check {name}": checked(name) for name, card in CARDS.items() if card.phantom}
    return found


def replaced(page: str, marker: str, text: str) -> str:
    """The page with what stands between ``<!-- marker -->`` and ``<!-- end marker -->`` replaced."""
    before, _, rest = page.partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- end {marker} -->\n")
    assert end, f"the page has no place for {marker}"
    return f"{before}<!-- {marker} -->\n\n{text.strip()}\n\n{end}{after}"


def main() -> int:
    """Write or check the page."""
    page = text = PAGE.read_text(encoding="utf-8")
    for marker, block in blocks(phantoms="--cards" not in sys.argv[1:]).items():
        text = replaced(text, marker, block)
    if "--check" in sys.argv[1:]:
        if page != text:
            print(f"{PAGE.relative_to(ROOT)} is out of date: run scripts/streams.py", file=sys.stderr)
        return int(page != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
