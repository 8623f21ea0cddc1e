"""The real streams, briefly: everything is read, trained on, scored and verified."""

import pytest

from clbench.config import make_config
from clbench.experiment import run_config
from clbench.report.load import load_runs
from clbench.verify import verify


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("stream", ["acdc-groups", "acdc-classes", "hippocampus-classes", "hippocampus-shifts"])
def test_a_short_run_on_real_data_is_complete_and_verified(real_data, tmp_path, monkeypatch, stream):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    config = make_config(
        stream=stream,
        strategy="ewc+segreg",
        preset="smoke",
        data=real_data,
        out=tmp_path,
        settings=["training.steps=3", "training.batch_size=2", "ewc.samples=2"],
    )
    folder = run_config(config)
    (run,) = load_runs(folder)
    assert run.complete
    assert verify(folder, real_data) == []
