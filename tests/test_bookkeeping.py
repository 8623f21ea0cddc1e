"""What a run refuses to write down."""

import pytest
import torch

from clbench.errors import InputError, RunError
from clbench.experiment import run_config
from clbench.reporter import SilentReporter
from toy import toy_config, write_domain_stream


@pytest.fixture
def card(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    return write_domain_stream(tmp_path / "data")


class Stop(SilentReporter):
    """Ends a run after its first task."""

    def evaluated(self, after_task, tasks, row):
        if after_task == 1:
            raise KeyboardInterrupt


def test_a_loss_that_is_not_finite_fails_the_run_and_names_the_step(card, tmp_path):
    config = toy_config(card, tmp_path / "runs", "segreg", ("segreg.weight=1e45", "training.gradient_clip=0"))
    with pytest.raises(RunError, match=r"not finite in task site1"):
        run_config(config)
    assert not list((tmp_path / "runs").rglob("summary.json"))


def test_weights_that_are_not_finite_are_never_scored(card, tmp_path, monkeypatch):
    import clbench.strategies.template as template

    def poison(self):
        with torch.no_grad():
            next(self.model.parameters()).fill_(float("nan"))

    monkeypatch.setattr(template.SegmentationStrategy, "optimizer_step", poison)
    with pytest.raises(RunError, match="not finite"):
        run_config(toy_config(card, tmp_path / "runs", settings=("training.steps=1",)))
    assert not list((tmp_path / "runs").rglob("summary.json"))


def test_half_a_run_is_not_finished_with_other_threads(card, tmp_path):
    before = torch.get_num_threads()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_config(toy_config(card, tmp_path / "runs", threads=1), Stop())
        with pytest.raises(InputError, match=r"begun on cpu \S+, 1 threads, and this is cpu \S+, 2 threads.*--threads"):
            run_config(toy_config(card, tmp_path / "runs", threads=2))
        assert list((tmp_path / "runs").rglob("checkpoints"))
        run_config(toy_config(card, tmp_path / "runs", threads=1))
    finally:
        torch.set_num_threads(before)
