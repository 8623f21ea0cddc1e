"""clbench: continual learning for medical image segmentation, with numbers that can be re-checked."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from clbench.api import run
    from clbench.report.load import load_runs
    from clbench.streams.load import load_stream
    from clbench.suite.run import run_suite

__all__ = ["__version__", "load_runs", "load_stream", "run", "run_suite"]

_LAZY = {
    "run": ("clbench.api", "run"),
    "load_stream": ("clbench.streams.load", "load_stream"),
    "run_suite": ("clbench.suite.run", "run_suite"),
    "load_runs": ("clbench.report.load", "load_runs"),
}


def __getattr__(name: str) -> Any:
    """Import the public functions on first use, so that ``import clbench`` stays quick."""
    if name not in _LAZY:
        raise AttributeError(f"module 'clbench' has no attribute '{name}'")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)
