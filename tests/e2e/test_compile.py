"""``--compile``: another identity, the same learning."""

import numpy as np
import pytest

from clbench.experiment import run_config
from clbench.report.load import load_runs
from toy import toy_config, write_domain_stream


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["naive", "segreg"])
def test_a_compiled_network_learns_the_same_but_for_rounding(tmp_path, strategy):
    card = write_domain_stream(tmp_path, tasks=2)
    plain = run_config(toy_config(card, tmp_path / "runs", strategy))
    compiled = run_config(toy_config(card, tmp_path / "runs", strategy, compile=True))
    assert plain != compiled
    ours, theirs = (load_runs(folder)[0].scores().scores for folder in (compiled, plain))
    np.testing.assert_allclose(ours, theirs, atol=0.02)
