"""Draw every site of every phantom into docs/phantoms: what the procedural twins look like, never a real scan.

Usage: python scripts/contact_sheets.py [--check]

``--check`` draws nothing and exits 1 when a sheet is missing, too large, or of another version of its phantom.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.ndimage import binary_fill_holes

from clbench.data.phantom import PHANTOMS, cardiac, hippocampus, prostate, prostate_decathlon
from clbench.data.phantom.scanners import SCANNERS
from clbench.data.phantom.shapes import Grid
from clbench.data.phantom.sites import DECATHLON, SITES, Site

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "phantoms"
MOST_BYTES = 500_000
COLORS = ((0.95, 0.35, 0.25), (0.3, 0.8, 0.35), (0.3, 0.6, 1.0))  # of the outlines of labels 1, 2, 3
GRAYS = 48  # noise does not compress; so many shades are enough to see it


@dataclass(frozen=True)
class Panel:
    """One slice.

    Attributes:
        title: what it shows.
        image: (rows, columns).
        labels: (rows, columns), 0 for background; None draws no outline.
        size_mm: height and width of a pixel.
    """

    title: str
    image: NDArray[Any]
    labels: NDArray[np.uint8] | None
    size_mm: tuple[float, float]


Sheet = dict[str, list[Panel]]  # name of the site -> its row


def plain(panel: Panel) -> Panel:
    return Panel(panel.title, panel.image, None, panel.size_mm)


def axial(title: str, image: NDArray[Any], labels: NDArray[np.uint8], grid: Grid, at: int) -> Panel:
    """A slice across z; x runs to the right, y downwards."""
    return Panel(title, image[:, :, at].T, labels[:, :, at].T, (grid.spacing_mm[1], grid.spacing_mm[0]))


def middle(labels: NDArray[np.uint8], axis: int) -> int:
    """The index along an axis that has most of the organ."""
    return int((labels > 0).sum(tuple({0, 1, 2} - {axis})).argmax())


def prostate_row(site: Site) -> list[Panel]:
    panels = []
    for number in site.numbers[1:4]:
        image, zones = prostate.scan(site, number)
        panels.append(axial(f"Case{number:02d}", image, zones, site.grid, middle(zones, 2)))
    image, zones = prostate.scan(site, site.numbers[1])
    x = middle(zones, 0)
    sagittal = Panel(
        f"Case{site.numbers[1]:02d}, sagittal",
        image[x, :, ::-1].T,
        zones[x, :, ::-1].T,
        (site.grid.spacing_mm[2], site.grid.spacing_mm[1]),
    )
    return [plain(panels[0]), *panels, sagittal]


def prostate_sheet() -> Sheet:
    return {site.name: prostate_row(site) for site in SITES}


def decathlon_sheet() -> Sheet:
    channels, zones = prostate_decathlon.scan_channels(DECATHLON.numbers[1])
    diffusion = axial("diffusion, not read", channels[..., 1], zones, DECATHLON.grid, middle(zones, 2))
    return {DECATHLON.name: [*prostate_row(DECATHLON)[:3], diffusion]}


def cardiac_sheet() -> Sheet:
    everyone = cardiac.patients()
    sheet: Sheet = {}
    for scanner in SCANNERS:
        first, second, *_ = (p for p in everyone if p.scanner == scanner and p.labeled)
        image, labels = cardiac.scan(first)
        ventricle = np.nonzero(labels[..., first.ed].any((0, 1)))[0]
        apex, half, base = (int(ventricle[index]) for index in (1, len(ventricle) // 2, -1))
        shots = [
            axial(title, image[..., frame], labels[..., frame], scanner.grid, at)
            for title, frame, at in (
                ("ED, middle", first.ed, half),
                ("ES, middle", first.es, half),
                ("ED, base", first.ed, base),
                ("ED, apex", first.ed, apex),
            )
        ]
        image, labels = cardiac.scan(second)
        other = axial("another patient, ED", image[..., second.ed], labels[..., second.ed], scanner.grid, half)
        sheet[f"{scanner.centre}: {scanner.vendor} {scanner.vendor_name}"] = [plain(shots[0]), *shots, other]
    return sheet


def hippocampus_sheet() -> Sheet:
    grid = Grid((48, 64, 64), (1.0, 1.0, 1.0))
    sheet: Sheet = {}
    for site in hippocampus.SITES:
        row = []
        for name in ("s01", "s02"):
            image, parts, _ = hippocampus.scan_side(site, name, "R", grid, (26.0, 0.0, 0.0))
            x, y = middle(parts, 0), middle(parts, 1)
            row.append(Panel("sagittal", image[x, :, ::-1].T, parts[x, :, ::-1].T, (1.0, 1.0)))
            row.append(Panel("coronal", image[:, y, ::-1].T, parts[:, y, ::-1].T, (1.0, 1.0)))
        sheet[site.name] = [plain(row[0]), *row]
    return sheet


SHEETS: dict[str, Callable[[], Sheet]] = {
    "prostate-saml": prostate_sheet,
    "prostate-7sites": decathlon_sheet,
    "mnms": cardiac_sheet,
    "hippocampus": hippocampus_sheet,
}


def drawn(sheet: Sheet) -> Image.Image:
    """All sites, one a row, at the same scale within a sheet; outlines in the colors of the labels."""
    columns = max(len(row) for row in sheet.values())
    extents = [
        (p.image.shape[0] * p.size_mm[0], p.image.shape[1] * p.size_mm[1]) for row in sheet.values() for p in row
    ]
    height, width = (max(sizes) for sizes in zip(*extents, strict=True))
    inch = 1.75 / width  # per mm
    figure = Figure(figsize=(columns * 1.8 + 0.3, len(sheet) * (height * inch + 0.22)), dpi=100, facecolor="black")
    axes = figure.subplots(len(sheet), columns, squeeze=False)
    figure.subplots_adjust(
        left=0.3 / figure.get_figwidth(), right=1, bottom=0.005, top=1 - 0.2 / figure.get_figheight()
    )
    figure.subplots_adjust(wspace=0.02, hspace=0.16)
    for (name, row), places in zip(sheet.items(), axes, strict=True):
        for panel, place in zip(row, places, strict=False):
            draw(panel, place, (height, width))
        places[0].text(-0.03, 0.5, name, rotation=90, ha="right", va="center", color="white", size=8,
                       transform=places[0].transAxes)  # fmt: skip
    for place in axes.flat:
        place.set_axis_off()
    return painted(figure)


def draw(panel: Panel, place: Any, extent: tuple[float, float]) -> None:
    low, high = np.percentile(panel.image, (0.5, 99.5))
    tall, wide = (size * step for size, step in zip(panel.image.shape, panel.size_mm, strict=True))
    frame = (-wide / 2, wide / 2, tall / 2, -tall / 2)
    place.imshow(panel.image, cmap="gray", vmin=low, vmax=high, extent=frame, interpolation="bilinear")
    if panel.labels is not None:
        for value, color in enumerate(COLORS, start=1):
            if (panel.labels == value).any():
                inside = binary_fill_holes(panel.labels == value).astype(float)  # a ring would hide what it surrounds
                place.contour(inside, [0.5], colors=[color], linewidths=0.8, extent=frame, origin="upper")
    place.set(xlim=(-extent[1] / 2, extent[1] / 2), ylim=(extent[0] / 2, -extent[0] / 2), aspect="equal")
    place.set_title(panel.title, color="white", size=6.5, pad=2)


def painted(figure: Figure) -> Image.Image:
    """The figure in few colors: grays, and the outlines' own in three strengths."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    shown = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.asarray(shown)).convert("RGB")
    grays = [(level, level, level) for level in np.linspace(0, 255, GRAYS).round().astype(int).tolist()]
    outlines = [
        tuple(round(255 * part * strength) for part in color) for color in COLORS for strength in (0.6, 0.8, 1.0)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([int(part) for color in (*grays, *outlines) for part in color])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def stamp(name: str) -> str:
    """What a sheet says it was drawn from."""
    return f"{name}-v{PHANTOMS[name].version}"


def stale() -> Iterator[str]:
    """Why a sheet has to be drawn again."""
    for name in PHANTOMS:
        path = FOLDER / f"{name}.png"
        if not path.exists():
            yield f"{path.relative_to(ROOT)} is missing"
        elif (found := Image.open(path).info.get("Source")) != stamp(name):
            yield f"{path.relative_to(ROOT)} shows {found}, not {stamp(name)}"
        elif path.stat().st_size > MOST_BYTES:
            yield f"{path.relative_to(ROOT)} is larger than {MOST_BYTES} bytes"


def main() -> int:
    """Draw or check all sheets."""
    mpl.rcParams["font.family"] = "DejaVu Sans"  # comes with matplotlib
    if "--check" not in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for name, make in SHEETS.items():
            info = PngInfo()
            info.add_text("Source", stamp(name))
            drawn(make()).save(FOLDER / f"{name}.png", optimize=True, pnginfo=info)
    problems = list(stale())
    for problem in problems:
        print(f"{problem}: run scripts/contact_sheets.py", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
