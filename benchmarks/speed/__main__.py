"""``python -m benchmarks.speed``: measure everything in one go, write ``results/speed/<device>-<precision>.json``."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import evidence, page, processes
from benchmarks.speed.evaluation import evaluation, prepare_seconds
from benchmarks.speed.measure import Contender, Gated, Timing, interleave, say
from benchmarks.speed.merge import merged
from benchmarks.speed.nnunet import installed, nnunet
from benchmarks.speed.stock import stock
from benchmarks.speed.strategies import measured
from benchmarks.speed.strategies import ratios as ratios_of_strategies
from benchmarks.speed.training import Floor, clbench_run
from benchmarks.speed.workload import Workload, workloads
from clbench.device import device_name, resolve_device, resolve_precision

PACKAGES = ("torch", "monai", "avalanche-lib", "numpy", "nnunetv2")
STEPS = {"2d": 10, "3d": 2}
PARTS = ("training", "strategies", "evaluation", "processes", "evidence")


def main() -> int:
    """Measure, write the figures, and bring the tables of ``docs/speed.md`` up to date; parts not asked for stay."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--size", choices=["small", "full"], help="of networks and batches (default: by device)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--strategies", nargs="+", choices=measured(), default=[], help="of --parts strategies, these")
    parser.add_argument("--out", type=Path, default=processes.ROOT / "results" / "speed")
    given = parser.parse_args()
    if given.strategies and given.parts != ["strategies"]:
        parser.error("--strategies needs --parts strategies")
    device = resolve_device(given.device)
    size = given.size or ("full" if device.type == "cuda" else "small")
    path = given.out / f"{device.type}-{resolve_precision('auto', device)}.json"
    found: dict[str, Any] = {"machine": machine(device), "size": size, "repeats": given.repeats}
    everything = set(given.parts) == set(PARTS)
    merged(path, {**found, "seconds": 0}, {}, everything=everything)  # refused before minutes are spent
    measures = {**MEASURES, **({"strategies": partial(strategies, names=given.strategies)} if given.strategies else {})}
    loads = workloads(device, size) if set(given.parts) & NETWORKS else {}
    begun, parts = time.perf_counter(), {}
    for part in given.parts:
        say(f"{part} ({time.perf_counter() - begun:.0f} s so far)")
        parts[part] = measures[part](loads, given.repeats)
    found["seconds"] = round(time.perf_counter() - begun)
    found = merged(path, found, parts, everything=everything, strategies=given.strategies)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    page.write()
    print(page.table(found))
    return 0


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""
    names = {}
    for name in PACKAGES:
        try:
            names[name] = version(name)
        except PackageNotFoundError:
            names[name] = None
    return {
        "date": date.today().isoformat(),
        "device": device_name(device),
        "processor": processor(),
        "bfloat16": resolve_precision("auto", device) == "bfloat16",
        "python": platform.python_version(),
        "packages": names,
    }


def processor() -> str:
    """The processor's name as the system gives it, with its number of cores."""
    from clbench.device import usable_cores

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {usable_cores()} cores"


def training(loads: dict[str, Workload], repeats: int) -> dict[str, Any]:
    """Steps of every contender on every workload."""
    found = {}
    for name, load in loads.items():
        auto = resolve_precision("auto", load.device)
        with ExitStack() as stack:
            contenders: dict[str, Contender] = {
                "floor": Floor(load, auto),
                "clbench": clbench_run(load, auto),
                "floor float32": Floor(load, "float32"),
                "clbench float32": clbench_run(load, "float32"),
                "stock": stock(load),
            }
            if installed():
                contenders["nnunet"] = stack.enter_context(nnunet(load))
            else:
                say("nnU-Net is not installed; add it with: pip install -e '.[nnunet]'")
            for contender in contenders.values():
                if isinstance(contender, Gated):
                    stack.callback(contender.close)
            timings = interleave(contenders, steps=STEPS[name], repeats=repeats, wait=load.wait)
        found[name] = {"stream": described(load), **seconds(timings), "ratios": ratios(timings)}
    return found


def described(load: Workload) -> str:
    """The workload in words."""
    values, plan = load.training, load.plan
    return (
        f"{load.stream.key}{'' if load.stream.phantom else ' (real)'}, patch {' x '.join(map(str, plan.patch_size))}, "
        f"batch {values.batch_size}, {values.base_features} features at the finest level"
        f"{', deep supervision' if values.deep_supervision else ''}"
    )


def seconds(timings: dict[str, Timing]) -> dict[str, Any]:
    """Seconds per step: medians, and every repeat."""
    return {
        "seconds_per_step": {name: round(timing.median, 5) for name, timing in timings.items()},
        "repeats": {name: [round(value, 5) for value in timing.repeats] for name, timing in timings.items()},
    }


def ratios(timings: dict[str, Timing]) -> dict[str, float]:
    """Speeds (steps per second) of clbench over those of the others."""
    pairs = [
        ("clbench", "floor"),
        ("clbench float32", "floor float32"),
        ("clbench float32", "nnunet"),
        ("clbench", "nnunet"),
        ("clbench", "stock"),
        ("clbench float32", "stock"),
    ]
    return {
        f"{ours} over {theirs}": round(timings[theirs].over(timings[ours]), 3)
        for ours, theirs in pairs
        if theirs in timings
    }


def strategies(loads: dict[str, Workload], repeats: int, names: Sequence[str] = ()) -> dict[str, Any]:
    """A step of each strategy, or of those named, over a step of naive."""
    load = loads["2d"]
    return ratios_of_strategies(load, names or measured(), resolve_precision("auto", load.device), repeats)


def evaluations(loads: dict[str, Workload], repeats: int) -> dict[str, Any]:
    """Evaluation and preparation per case."""
    found = {}
    for name, load in loads.items():
        auto = resolve_precision("auto", load.device)
        values = {**evaluation(load, auto, repeats), "prepare_seconds_per_case": prepare_seconds(load)}
        found[name] = {key: round(value, 5) for key, value in values.items()}
    return found


def whole_processes(_: dict[str, Workload], repeats: int) -> dict[str, Any]:
    """Start-up, memory and reports."""
    few, many = processes.peak_memory_mb(8), processes.peak_memory_mb(32)
    return {
        "help_seconds": round(processes.command_seconds("--help", repeats=repeats), 3),
        "list_seconds": round(processes.command_seconds("list", repeats=repeats), 3),
        "peak_memory_mb": {"8 cases": round(few, 1), "32 cases": round(many, 1), "growth": round(many / few - 1, 4)},
        "reports_over_100_runs_seconds": processes.report_seconds(100),
    }


def many_runs(_: dict[str, Workload], __: int) -> dict[str, Any]:
    """A leaderboard of a thousand runs and the bootstrap of a thousand cases, once each."""
    ranked = evidence.leaderboard()
    return {
        "leaderboard_seconds": round(ranked["seconds"], 2),
        "leaderboard_peak_memory_mb": round(ranked["peak_memory_mb"], 1),
        "bootstrap_seconds": round(evidence.bootstrap_seconds(), 2),
    }


MEASURES = {
    "training": training,
    "strategies": strategies,
    "evaluation": evaluations,
    "processes": whole_processes,
    "evidence": many_runs,
}
NETWORKS = {"training", "strategies", "evaluation"}
"""Parts that need data and networks."""

if __name__ == "__main__":
    sys.exit(main())
