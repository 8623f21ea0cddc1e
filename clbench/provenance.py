"""Provenance: the software, machine and command line that made a result."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

_ABSOLUTE = re.compile(r"^(~|/|[A-Za-z]:[\\/]|\\\\|[A-Za-z]+://)|(^|[\\/])\.\.([\\/]|$)")


def collect(device: str, argv: Sequence[str] | None = None) -> dict[str, Any]:
    """What ``run.json`` records about where a result comes from; no paths, host or user names.

    Args:
        device: name of the processor or GPU that the run used.
        argv: the command line; this process's by default.

    Returns:
        ``packages`` (name -> version of everything installed), ``python``, ``system``, ``git`` (commit and dirty
        flag of the source checkout, or None), ``device`` and ``argv``.
    """
    return {
        "packages": packages(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "git": git_state(Path(__file__).parent),
        "device": device,
        "argv": [without_path(argument) for argument in (sys.argv if argv is None else argv)],
    }


def packages() -> dict[str, str]:
    """Installed packages, name in lower case -> version, sorted."""
    return dict(_installed())


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """Read once per process, since a suite or a test session makes many runs in one."""
    found: dict[str, str] = {}
    for distribution in distributions():
        metadata = distribution.metadata
        if metadata["Name"]:  # a half-removed package has none; of two copies, the first on the path is imported
            found.setdefault(metadata["Name"].lower(), metadata["Version"])
    return tuple(sorted(found.items()))


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout whose source ``folder`` is, and whether that folder differs from it.

    Files elsewhere in the checkout, such as the run folders themselves, do not make it dirty. None for an installed
    package.
    """
    if not (folder.parent / ".git").exists():
        return None  # else an installed package would report the repository of whoever's environment it lies in
    commit, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", ".")
    return None if commit is None or status is None else {"commit": commit, "dirty": bool(status)}


def without_path(argument: str) -> str:
    """A command-line argument with an absolute path or one through ``..``, also behind ``=``, cut to its last part."""
    option, equals, value = argument.partition("=")
    if equals and not _ABSOLUTE.match(option):
        return f"{option}={without_path(value)}"
    if not _ABSOLUTE.match(argument):
        return argument
    return re.split(r"[\\/]", argument.rstrip("\\/"))[-1] or "..."


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, None when there is no git, no commit or no answer."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
