"""A finished run, and a verify that is not given the data it was trained on."""

from __future__ import annotations

import pytest

from clbench import verify as verify_module
from clbench.errors import InputError
from synthetic_runs import drift_of, finished


def no_data(run, data_root, card):
    raise InputError("no data")


@pytest.fixture(autouse=True)
def _without_raw_data(monkeypatch):
    monkeypatch.setattr(verify_module, "raw_data", no_data)


@pytest.fixture
def run(tmp_path):
    return finished(tmp_path, drift=drift_of(0.3))
