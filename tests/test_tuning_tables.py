"""The sweep of a strategy on its docs page: its own rows, and those to compare with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from tuning_tables import curves, tuned_on

SWEEP = """# Weights of penalties

Stream `toy`, preset `cpu`, seed 0; Dice of the validation cases. 4 of 4 settings done.

| strategy | setting | final |
|---|---|---:|
| `naive` | - | 0.1 |
| `joint` | - | 0.9 |
| `ewc` | weight=1.0 | 0.2 |
| `mas` | weight=1.0 | 0.3 |
"""


def test_a_strategy_gets_its_rows_and_the_references_of_every_sweep_it_is_in(tmp_path):
    (tmp_path / "penalties.md").write_text(SWEEP)
    (tmp_path / "without.md").write_text(SWEEP.replace("`ewc`", "`si`"))
    assert curves("ewc", tmp_path) == (
        "Sweep on validation cases (`results/tuning/penalties.md`): `toy`, preset `cpu`, seed 0.\n\n"
        "| strategy | setting | final |\n|---|---|---:|\n| `naive` | - | 0.1 |\n| `joint` | - | 0.9 |\n"
        "| `ewc` | weight=1.0 | 0.2 |"
    )
    assert curves("mas", tmp_path).count("`mas`") == 2
    assert curves("lwf", tmp_path) == ""


def test_streams_are_told_with_the_strategies_that_were_swept_there(tmp_path):
    (tmp_path / "penalties.md").write_text(SWEEP)
    (tmp_path / "more.md").write_text(SWEEP.replace("`ewc`", "`si`"))
    (tmp_path / "other.md").write_text(SWEEP.replace("`toy`", "`organ`").replace("`mas`", "`lwf`"))
    assert tuned_on(tmp_path) == {"organ": ["ewc", "lwf"], "toy": ["ewc", "mas", "si"]}
