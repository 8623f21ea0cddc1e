"""What all tests share: the real data when it is there, GPU tests skipped without a GPU, steady property tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("clbench", deadline=None, derandomize=True, max_examples=25, database=None)
settings.load_profile("clbench")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The data root with the real copies: CLBENCH_DATA, or ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("CLBENCH_DATA") or beside)
    if not (root / "acdc").is_dir() or not (root / "msd").is_dir():
        pytest.skip("no real data: set CLBENCH_DATA to the folder that holds acdc/ and msd/")
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked gpu, with a reason, where there is no CUDA device; keep together what shares fixtures.

    With several workers (``-n``), a file's tests run in one of them, but contract tests are shared out by strategy.
    """
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("name")
        item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{name or item.path.name}"))
    marked = [item for item in items if "gpu" in item.keywords]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
