"""A strategy that is told the task: a map for each task of a case, and all of them are re-checked."""

from clbench.experiment import run_config
from clbench.verify import verify
from toy import toy_config, write_class_stream


def test_each_task_of_a_case_has_a_map_of_its_own_and_verifies(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    card = write_class_stream(data)
    run = run_config(toy_config(card, tmp_path / "runs", "dan", predictions="final"))
    names = sorted(path.name for path in (run / "predictions" / "after_3").iterdir())
    assert names
    assert {name.split(".")[-3] for name in names} == {"task_1", "task_2", "task_3"}
    assert verify(run, data, str(card)) == []
    damaged, other = (run / "predictions" / "after_3" / name for name in names[:2])
    damaged.write_bytes(other.read_bytes())
    found = verify(run, data, str(card))
    assert any("task_1" in difference.where and "dice of disc is" in difference.what for difference in found)
    damaged.unlink()
    assert any("1 are missing" in difference.what for difference in verify(run, data, str(card)))
