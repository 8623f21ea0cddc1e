"""The recorded sweeps can be run: their files name options that exist, and a sweep writes its table and goes on."""

from importlib.util import module_from_spec, spec_from_file_location

import pytest

from source_tree import ROOT
from toy import write_domain_stream

FILES = sorted((ROOT / "benchmarks" / "tuning").glob("*.toml"))
TINY = ("training.steps=2", "training.batch_size=2", "training.base_features=4", "training.max_features=8")


@pytest.fixture(scope="module")
def tune():
    found = spec_from_file_location("tune", ROOT / "scripts" / "tune.py")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module.main


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sweep_has_settings_that_can_be_run(tune, path, capsys):
    assert tune([str(path), "--list"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(set(lines)) > 2


def test_a_sweep_writes_one_row_per_setting_and_is_resumed(tune, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    card, path, table = write_domain_stream(tmp_path / "data", tasks=2), tmp_path / "toy.toml", tmp_path / "table.md"
    path.write_text(
        f'about = "Toy"\nstream = "{card}"\npreset = "smoke"\nseed = 0\nsettings = {list(TINY)}\n'
        "[strategies.l2]\nweight = [0.0, 0.01]\n"
    )
    places = {"--out": tmp_path / "runs", "--data": card.parent, "--table": table}
    words = [str(path), *(str(word) for pair in places.items() for word in pair)]
    assert tune(words) == 0
    assert "scored" in capsys.readouterr().err
    rows = [line.strip("| ").split(" | ") for line in table.read_text().splitlines() if line.startswith("| `")]
    assert [row[1] for row in rows] == ["-", "-", "weight=0.0", "weight=0.01 (default)"]
    assert rows[0][2:] == rows[2][2:]  # weight 0 is naive
    assert tune(words) == 0
    assert "scored" not in capsys.readouterr().err
