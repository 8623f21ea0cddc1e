"""The page: ``docs/speed.md`` gets its tables from ``results/speed/*.json``; python -m benchmarks.speed.page."""

from __future__ import annotations

import json
import operator
import sys
from pathlib import Path
from typing import Any

from clbench.report.processors import as_read
from clbench.wording import counted

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end figures -->\n"

COMPARED = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}
TARGETS = {
    "clbench over floor": ("≥ 0.90", "≥ 0.90"),
    "clbench float32 over floor float32": ("≥ 0.90", "≥ 0.90"),
    "clbench float32 over nnunet": ("≥ 1.0", "≥ 1.3"),
    "clbench over nnunet": ("≥ 2.5", "≥ 1.5"),
    "clbench over stock": ("≥ 1.3", "≥ 2"),
    "clbench float32 over stock": ("", ""),
}
STRATEGY_TARGETS = dict.fromkeys(("l2", "ewc", "mas", "si", "rwalk", "segreg", "dispersive"), "≤ 1.05") | {
    "lwf": "≤ 1.40",
    "derpp": "≤ 1.60",
    "gem": "≤ 3",
}


def table(found: dict[str, Any]) -> str:
    """Everything one machine gave, as Markdown."""
    about, gpu = found["machine"], "cpu" not in found["machine"]["device"].split(",")[0]
    packages = ", ".join(f"{name} {number}" for name, number in sorted(about["packages"].items()) if number)
    device = as_read(about["device"])
    parts = [
        f"### {device}\n\n{about['processor']}; Python {about['python']}; {packages}; {about['date']}; "
        f"`auto` is {'bfloat16' if about['bfloat16'] else 'float32'}; "
        f"{counted(found['repeats'], 'repeat')}; {found['seconds']} s in all.{_later(found)}\n"
    ]
    if "training" in found:
        parts += [_training(name, values, gpu=gpu) for name, values in found["training"].items()]
    if "strategies" in found:
        parts.append(_strategies(found["strategies"]))
    if "evaluation" in found:
        parts.append(_evaluation(found["evaluation"], gpu=gpu))
    if "processes" in found:
        parts.append(_processes(found["processes"]))
    if "evidence" in found:
        parts.append(_evidence(found["evidence"]))
    return "\n".join(parts)


def judged(target: str, **shown: str) -> str:
    """A target, and where it is missed.

    Args:
        target: a comparison and a number, such as ``≤ 1.05``; may be empty.
        shown: column -> number as the page shows it; ``n/a`` misses nothing. One column needs no name behind "missed".
    """
    if not target:
        return ""
    sign, limit = target.split()[:2]
    found = {column: float(text.split()[0]) for column, text in shown.items() if text != "n/a"}
    missed = [column for column, value in found.items() if not COMPARED[sign](value, float(limit))]
    return target + (", missed" + (f" in {' and '.join(missed)}" if len(shown) > 1 else "") if missed else "")


def _rows(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    rule = ("---", *("---:" for _ in head[1:]))
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


def _training(name: str, values: dict[str, Any], *, gpu: bool) -> str:
    times = [(who, f"{1000 * seconds:.1f}") for who, seconds in values["seconds_per_step"].items()]
    ratios = [
        (what, text, judged(TARGETS[what][gpu], ratio=text))
        for what, text in ((what, f"{ratio:.2f}") for what, ratio in values["ratios"].items())
    ]
    return (
        f"**Training, {name}**: {values['stream']}.\n\n{_rows(('contender', 'ms per step'), times)}\n"
        f"{_rows(('steps per second', 'ratio', 'target'), ratios)}"
    )


def _strategies(values: dict[str, dict[str, Any] | None]) -> str:
    lines = [(f"`{name}`", *_ratio(found, STRATEGY_TARGETS.get(name, ""))) for name, found in values.items()]
    rows = _rows(("strategy", "ratio", "target", "starts x turns", "measured"), lines)
    return f"**A step over a step of naive**, in the last of five tasks.\n\n{rows}"


def _ratio(found: dict[str, Any] | None, target: str) -> tuple[str, str, str, str]:
    """A ratio with its interval, its target, its starts and turns and its day, as far as these are known."""
    if found is None:
        return "n/a", target, "", ""
    ratio, low, high = (found[key] for key in ("ratio", "low", "high"))
    text = f"{ratio:.2f}" if low is None else f"{ratio:.2f} [{low:.2f}, {high:.2f}]"
    times = f"{found['starts']} x {found['turns']}" if found["turns"] else ""
    return text, judged(target, ratio=text), times, found["date"]


def _evaluation(found: dict[str, dict[str, float]], *, gpu: bool) -> str:
    what = {
        "evaluate_over_forward": ("evaluation over bare forward passes", "≤ 1.25" if gpu else "≤ 1.20"),
        "metrics_over_inference": ("all metrics of a case over its inference", "≤ 0.25" if gpu else "≤ 0.10"),
        "forward_seconds_per_case": ("bare forward passes, ms per case", ""),
        "inference_seconds_per_case": ("inference, ms per case", ""),
        "evaluate_seconds_per_case": ("evaluation, ms per case", ""),
        "metrics_seconds_per_case": ("metrics, ms per case", ""),
        "prepare_seconds_per_case": ("preparation, ms per case", ""),
    }
    lines = []
    for key, (text, target) in what.items():
        factor, digits = (1000, 1) if key.endswith("per_case") else (1, 2)
        shown = {name: f"{factor * values[key]:.{digits}f}" for name, values in found.items()}
        lines.append((text, *shown.values(), judged(target, **shown)))
    return f"**Evaluation**\n\n{_rows(('', *found, 'target'), lines)}"


def _processes(found: dict[str, Any]) -> str:
    memory, reports = found["peak_memory_mb"], found["reports_over_100_runs_seconds"]
    lines = [
        ("`clbench --help`, s", f"{found['help_seconds']:.2f}", "< 0.5"),
        ("`clbench list`, s", f"{found['list_seconds']:.2f}", "< 1"),
        ("peak memory of a run with 8 cases, MiB", f"{memory['8 cases']:.0f}", ""),
        ("growth with 4 times the cases", f"{100 * memory['growth']:.1f} %", "< 5 %"),
        *(
            (f"`clbench {name}` over 100 runs, s", "n/a" if value is None else f"{value:.2f}", "")
            for name, value in reports.items()
        ),
    ]
    lines = [(what, text, judged(target, measured=text)) for what, text, target in lines]
    return f"**Processes**\n\n{_rows(('', 'measured', 'target'), lines)}"


def _evidence(found: dict[str, float]) -> str:
    lines = [
        ("`clbench leaderboard` over 1,000 runs, s", f"{found['leaderboard_seconds']:.1f}", "≤ 20"),
        ("its peak memory, MiB", f"{found['leaderboard_peak_memory_mb']:.0f}", "≤ 1024"),
        ("10,000 resamples of 21 runs on 1,000 cases, s", f"{found['bootstrap_seconds']:.1f}", "≤ 5"),
    ]
    lines = [(what, text, judged(target, measured=text)) for what, text, target in lines]
    return f"**Evidence**\n\n{_rows(('', 'measured', 'target'), lines)}"


def _later(found: dict[str, Any]) -> str:
    """What was measured on another day than the rest, on the same machine."""
    told = [f"{part} {about['date']} ({about['seconds']} s)" for part, about in sorted(found.get("later", {}).items())]
    return f" Measured later: {', '.join(told)}." if told else ""


def text() -> str:
    """The page as it should be."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    found = [json.loads(path.read_text()) for path in sorted((ROOT / "results" / "speed").glob("*.json"))]
    figures = "\n".join(table(each) for each in found)
    return f"{before}{BEGIN}\n{figures.strip()}\n\n{END}{after}"


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(PAGE.read_text(encoding="utf-8") != text())
    write()
