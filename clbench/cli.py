"""The command line: each command parses, calls one function of the package and prints what it gives."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.errors import DataError, InputError, RunError, check_out, one_line

if TYPE_CHECKING:
    from clbench.config import RunConfig
    from clbench.suite.run import Suite

INPUT_ERROR, FAILURE, INTERRUPTED = 2, 1, 130


app = typer.Typer(
    help="Continual learning for medical image segmentation: a benchmark whose numbers can be re-checked.",
    epilog="--debug anywhere shows the traceback of an error.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at the data of a stream.")
app.add_typer(data_app, name="data")

Paths = Annotated[list[Path], typer.Argument(help="run folders, or folders that contain some")]
DataRoot = Annotated[Path | None, typer.Option("--data", help="data root (default: CLBENCH_DATA)", metavar="DIR")]
Card = Annotated[str, typer.Option("--stream", help="card of the runs' stream, if it is your own", metavar="FILE")]
Overlays = Annotated[
    bool, typer.Option("--overlays", help="pictures of the worst cases too; needs predictions and data")
]
Phantom = Annotated[bool, typer.Option("--phantom", help="use the procedural twin of the stream instead of real data")]


@app.command("list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="streams, strategies, networks, metrics or presets (default: all)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Every stream, strategy, network, metric and preset, with one line about each."""
    from rich.console import Console

    from clbench.catalog import KINDS, catalog
    from clbench.console import names_table

    names = catalog([what] if what else KINDS)
    if as_json:
        typer.echo(json.dumps(names, indent=2))
        return
    for kind, entries in names.items():
        Console().print(names_table(kind, entries))


@data_app.command("check")
def check(stream: str, data: DataRoot = None, phantom: Phantom = False) -> None:
    """What is there, what is missing, and which known traps of the data set were met."""
    from rich.console import Console

    from clbench.console import show_check
    from clbench.data.check import inspect_cases
    from clbench.streams.load import cache_root, load_stream
    from clbench.streams.soundness import every_problem_told

    with every_problem_told(cache_root()):
        loaded = load_stream(stream, data=data, phantom=phantom)
    findings = inspect_cases(loaded.cases, cache=cache_root())
    show_check(Console(), loaded, findings)
    if findings.problems:
        raise typer.Exit(FAILURE)


@app.command()
def run(
    stream: Annotated[str, typer.Option(help="name, name@version, or the path of a card")],
    strategy: Annotated[str, typer.Option(help="name, or several joined by +")],
    order: Annotated[
        str | None, typer.Option(help="of the tasks: 3,1,2,..., seed:N, or one that the card names (default: as there)")
    ] = None,
    seed: Annotated[int, typer.Option(help="of every random draw")] = 0,
    preset: Annotated[str, typer.Option(help="training budget: smoke, cpu or full")] = "cpu",
    data: DataRoot = None,
    phantom: Phantom = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="an option, such as ewc.weight=1; may be repeated", metavar="K=V")
    ] = None,
    out: Annotated[Path, typer.Option(help="where run folders go", metavar="DIR")] = Path("runs"),
    workers: Annotated[
        int | None, typer.Option(help="loader processes; results do not depend on it (default: by device)")
    ] = None,
    threads: Annotated[int, typer.Option(help="processor threads; 0 lets torch decide")] = 0,
    predictions: Annotated[str, typer.Option(help="which label maps to keep: final, all or none")] = "final",
    exclude_bad: Annotated[
        bool, typer.Option("--exclude-bad", help="leave faulty cases out instead of refusing")
    ] = False,
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="name cases and patients by salted hashes in what is written")
    ] = False,
    network: Annotated[
        str | None, typer.Option(help="see: clbench list networks (default: the strategy's own, else unet)")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16")] = "auto",
    compile_: Annotated[bool, typer.Option("--compile", help="train through torch.compile; pays on GPUs")] = False,
    checkpoint_steps: Annotated[int, typer.Option(help="most training steps between checkpoints")] = 250,
    checkpoint_minutes: Annotated[float, typer.Option(help="most minutes between checkpoints")] = 10.0,
) -> None:
    """Train one strategy through one stream and score every task after every task."""
    from clbench.config import make_config
    from clbench.streams.load import outline

    config = make_config(
        stream=stream, order=order, strategy=strategy, seed=seed, preset=preset, data=data, phantom=phantom,
        device=device, settings=settings or [], out=out, workers=workers, threads=threads, predictions=predictions,
        network=network, precision=precision, checkpoint_steps=checkpoint_steps, checkpoint_minutes=checkpoint_minutes,
        compile=compile_, exclude_bad=exclude_bad, anonymize=anonymize,
    )  # fmt: skip
    outline(stream, phantom=phantom, order=order)  # a wrong name is told before the seconds that torch takes to load
    _run(config)


def _run(config: RunConfig) -> None:
    """Run with progress on standard error, then show the result."""
    from rich.console import Console

    from clbench.console import show_run
    from clbench.experiment import run_config
    from clbench.progress import screen_reporter
    from clbench.runfolder import read_run

    reporter = screen_reporter()
    try:
        folder = run_config(config, reporter)
    except KeyboardInterrupt:
        raise _Stopped("stopped; the same command goes on from the last checkpoint") from None
    finally:
        reporter.done()
    show_run(Console(), read_run(folder))


@app.command()
def suite(
    file: Annotated[Path, typer.Argument(help="TOML: streams, strategies, seeds")],
    jobs: Annotated[int | None, typer.Option(help="runs at the same time (default: 1; with Ray: all)")] = None,
    threads: Annotated[int, typer.Option(help="processor threads of each run; 0 divides the cores by the jobs")] = 0,
    only: Annotated[str, typer.Option(help="runs whose name has or matches this", metavar="PATTERN")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and about how long it takes")] = False,
    out: Annotated[Path, typer.Option(help="where run folders go", metavar="DIR")] = Path("runs"),
    data: DataRoot = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    engine: Annotated[str, typer.Option(help="local or ray")] = "local",
) -> None:
    """Run streams x strategies x seeds: skip what is complete, go on with what is begun."""
    from rich.console import Console

    from clbench.suite.run import prepare_suite
    from clbench.suite.screen import plan_table, plan_text

    prepared = prepare_suite(
        file, jobs=jobs, threads=threads, only=only, out=out, data=data, device=device, engine=engine
    )
    if dry_run:
        Console().print(plan_table(prepared.runs))
        typer.echo(plan_text(prepared.runs, prepared.places))
        return
    _say(plan_text(prepared.runs, prepared.places))
    _carry_out(prepared)


def _carry_out(prepared: Suite) -> None:
    """Carry out a suite with progress on standard error."""
    from clbench.suite.run import carry_out_suite
    from clbench.suite.screen import suite_screen

    with suite_screen() as screen:
        try:
            carry_out_suite(prepared, screen)
        except KeyboardInterrupt:
            raise _Stopped("stopped; the same command goes on with every run from its last checkpoint") from None
    count = len(prepared.runs)
    told = "the only run is complete; see" if count == 1 else f"all {count} runs are complete; compare them"
    typer.echo(f"{told}: clbench table {prepared.out}")


@app.command()
def table(
    paths: Paths,
    format_: Annotated[str, typer.Option("--format", help="md, csv or tex")] = "md",
    out: Annotated[
        Path | None, typer.Option(help="write table.FORMAT there instead of printing", metavar="DIR")
    ] = None,
    metric: Annotated[str, typer.Option(help="the score: see clbench list metrics")] = "dice",
) -> None:
    """Compare runs: one table per stream, data, preset and precision."""
    from clbench.ranking import inconsistency, marked_strategies
    from clbench.report.load import find_runs
    from clbench.report.tables import table as make_table
    from clbench.runfolder import files

    if out is not None:
        check_out(out)
    runs, left_out = find_runs(*paths)
    text = make_table(runs, format_, left_out, metric, marked=marked_strategies(), check=inconsistency)
    if out is None:
        typer.echo(text)
        return
    files.publish(out / f"table.{format_}", text.encode())
    typer.echo(out / f"table.{format_}")


@app.command()
def leaderboard(
    paths: Paths,
    out: Annotated[
        Path | None, typer.Option(help="where the files go (default: beside the first PATH)", metavar="DIR")
    ] = None,
    metric: Annotated[str, typer.Option(help="the score: see clbench list metrics")] = "dice",
) -> None:
    """Rank all runs: leaderboard.md, .csv and .html, one table per stream, data, preset and precision."""
    from clbench.ranking import rank
    from clbench.report.leaderboard import write

    out = out or paths[0].absolute().parent
    check_out(out)
    board = rank(*paths, metric=metric)
    for path in write(board, out):
        typer.echo(path)
    for item in board.left_out:
        _say(f"left out {item.name}: {item.reason}")


@app.command()
def figures(
    paths: Paths,
    out: Annotated[
        Path | None, typer.Option(help="where they go (default: figures, beside the first PATH)", metavar="DIR")
    ] = None,
    overlays: Overlays = False,
    data: DataRoot = None,
    stream: Card = "",
) -> None:
    """Draw every figure of the runs, as SVG and PDF at the width of a text column."""
    from clbench.pictures import write_pictures
    from clbench.ranking import inconsistency
    from clbench.report.figures.write import write_figures
    from clbench.report.load import find_runs

    out = out or paths[0].absolute().parent / "figures"
    check_out(out)
    runs, unread = find_runs(*paths)
    written, left_out = write_figures(runs, out, check=inconsistency)
    written += write_pictures(runs, out, data, stream) if overlays else []
    for item in (*unread, *left_out):
        _say(f"left out {item.name}: {item.reason}")
    typer.echo(f"{len(written)} files in {out}")


@app.command()
def report(
    paths: Paths,
    out: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")] = Path("report.html"),
    overlays: Overlays = False,
    data: DataRoot = None,
    stream: Card = "",
) -> None:
    """Write one HTML file to browse: leaderboards, matrices, curves, worst cases, commands and versions."""
    from functools import partial

    from clbench.pictures import embedded, require_predictions
    from clbench.ranking import inconsistency, marked_strategies
    from clbench.report.html.page import html_report
    from clbench.report.load import find_runs
    from clbench.runfolder import files

    check_out(out, folder=False)
    runs, left_out = find_runs(*paths)
    if overlays:
        require_predictions(runs)
    shown = partial(embedded, data=data, card=stream) if overlays else None
    page = html_report(runs, left_out, shown, marked=marked_strategies(), check=inconsistency)
    files.publish(out, page.encode())
    typer.echo(out)


@app.command()
def verify(
    paths: Paths,
    data: DataRoot = None,
    stream: Card = "",
    expected: Annotated[
        Path | None, typer.Option(help="numbers that the runs should come to, within their tolerance", metavar="FILE")
    ] = None,
) -> None:
    """Recompute everything that can be recomputed from run folders; any difference is a failure."""
    from clbench.ranking import outdated
    from clbench.report.expected import compare, read_expected, told
    from clbench.report.load import find_runs, run_folders
    from clbench.verify import check

    wanted = read_expected(expected) if expected else []
    found = {folder: check(folder, data, stream) for folder in run_folders(*paths)}
    for folder, result in found.items():
        typer.echo(f"{'differs' if result.differences else 'verified'}  {folder}")
        for line in (*result.differences, *(f"not checked: {what}" for what in result.unchecked)):
            typer.echo(f"  {one_line(str(line))}")
    odd = False
    if expected:
        current = [run for run in find_runs(*paths)[0] if not outdated(run)]
        lines, odd = told(compare(current, wanted), expected)
        typer.echo("\n".join(lines))
    if odd or any(result.differences for result in found.values()):
        raise typer.Exit(FAILURE)


class _Stopped(Exception):  # noqa: N818 (no error: somebody asked for it)
    """The user or a scheduler stopped a command; the message says how to go on."""


def _say(text: str) -> None:
    """One line on standard error."""
    typer.echo(f"clbench: {one_line(text)}", err=True)


def execute(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command line.

    Args:
        arguments: the words after ``clbench``.
        debug: show the traceback of an error.

    Returns:
        The exit code: 0, 2 for a mistake of the user, 1 for a failure, 130 when interrupted.
    """
    try:
        code = int(app(arguments or ["--help"], prog_name="clbench", standalone_mode=False) or 0)
        if code == INTERRUPTED:  # Typer's answer to Ctrl+C in a command that keeps nothing half done
            _say("stopped")
        return code
    except _Stopped as stopped:
        _say(str(stopped))
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        code, text = _explain(error)
        for line in str(error).split("\n")[:-1] if isinstance(error, DataError) else ():
            _say(line)  # one line for each problem of the data
        _say(text)
        return code


def _explain(error: Exception) -> tuple[int, str]:
    """Exit code and message of an error."""
    if isinstance(error, typer.TyperException):
        return error.exit_code, error.format_message()
    if isinstance(error, InputError):
        return INPUT_ERROR, str(error).rpartition("\n")[2] if isinstance(error, DataError) else str(error)
    if isinstance(error, RunError):
        return FAILURE, str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return FAILURE, f"{where}{error.strerror}; mend that, then give the same command again"
    name = type(error).__name__
    return FAILURE, f"{f'{name}: {error}' if str(error) else name} (--debug shows where)"


def main() -> None:
    """Entry point of the ``clbench`` command."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    sys.exit(execute(arguments, debug="--debug" in sys.argv[1:]))
