"""The real streams, briefly: everything is read, trained on, scored and verified."""

import re
import shutil

import pytest

from clbench.config import make_config
from clbench.experiment import run_config
from clbench.report.load import load_runs
from clbench.verify import verify
from command_line import clbench, run_words

PATIENTS_PER_GROUP = 3


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


@pytest.fixture(scope="module")
def few_patients(real_data, tmp_path_factory):
    """A data root with the first patients of each group of ACDC."""
    root, taken = tmp_path_factory.mktemp("few"), {}
    for patient in sorted((real_data / "acdc" / "training").glob("patient*")):
        (group,) = re.findall(r"^Group: (\w+)", (patient / "Info.cfg").read_text(), re.MULTILINE)
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= PATIENTS_PER_GROUP:
            shutil.copytree(patient, root / "acdc" / "training" / patient.name)
    return root


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["segreg", "selfreg", "med-disseg", "l2gnet"])
def test_each_latent_system_runs_on_the_groups_of_acdc_from_the_command_line(few_patients, tmp_path, strategy):
    ran = clbench(*run_words("acdc-groups", few_patients, tmp_path / "runs", strategy=strategy))
    assert ran.code == 0, ran.err
    assert f"{strategy} on acdc-groups@1" in ran.out
    checked = clbench("verify", tmp_path / "runs", "--data", few_patients)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith("verified")
