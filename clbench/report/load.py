"""Finding run folders and reading them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clbench.errors import InputError
from clbench.runfolder import Run, read_run

_OF_A_RUN = {"run.json", "summary.json", "cases.csv"}


@dataclass(frozen=True)
class LeftOut:
    """A run folder that a report does not use.

    Attributes:
        path: the folder.
        reason: why.
    """

    path: Path
    reason: str

    @property
    def name(self) -> str:
        """Stream and run, without the folders above, which say something about a machine."""
        return "/".join(self.path.absolute().parts[-2:])


def run_folders(*paths: Path | str) -> list[Path]:
    """Every folder at or below the paths that holds a file of a run, sorted, each once.

    One without its ``run.json`` is among them, so that whoever reads it says so: a run is not passed over in silence
    because that file is gone.

    Raises:
        InputError: a path that is no folder, or no run folder anywhere.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            raise InputError(f"no such folder: {path}; give a run folder or the --out folder of runs")
    walked = (place for path in paths for place, _, names in os.walk(path) if _OF_A_RUN & set(names))
    found = {Path(place).resolve(): Path(place) for place in walked}
    if not found:
        raise InputError(f"no run folder in {', '.join(map(str, paths))}; make one with: clbench run")
    return sorted(found.values())


def load_runs(*paths: Path | str) -> list[Run]:
    """Read every run at or below the paths, complete or not.

    Raises:
        InputError: a path that is no folder, no run folder anywhere, or a damaged one.
    """
    return [read_run(path) for path in run_folders(*paths)]


def find_runs(*paths: Path | str) -> tuple[list[Run], list[LeftOut]]:
    """As ``load_runs``, but damaged folders are told and not raised.

    Returns:
        The runs that can be read, complete or not, and the folders that cannot.

    Raises:
        InputError: a path that is no folder, or no run folder anywhere.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for path in run_folders(*paths):
        try:
            runs.append(read_run(path))
        except InputError as error:
            left_out.append(LeftOut(path, str(error).replace(f"{path}/", "")))
    return runs, left_out
