"""Coverage-guided fuzzing of one reader: python tests/faults/fuzz.py READER INPUTS FOLDER; needs atheris (Linux)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

with atheris.instrument_imports(include=["clbench", "tomllib"]):
    from hostile_readers import READERS, survives, warm_up

MOST_BYTES, MOST_SECONDS, MOST_MB = 8192, 10, 4096


def main(name: str, inputs: int, folder: Path) -> None:
    """Feed a reader; libFuzzer ends the process, with a code that is not 0 when an input was not survived."""
    reader, counts = READERS[name], {"read": 0, "refused": 0}
    seeds = folder / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(reader.seeds):
        (seeds / str(number)).write_bytes(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        warm_up(reader, Path(place))

        def one(content: bytes) -> None:
            counts[survives(reader, content, Path(place))] += 1
            if sum(counts.values()) == inputs:
                sys.stdout.write(f"{name}: {inputs} inputs, {counts['read']} read, {counts['refused']} refused\n")
                sys.stdout.flush()

        limits = [f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MB}"]
        flags = [f"-runs={inputs}", "-seed=1", "-verbosity=0", f"-artifact_prefix={folder}/", *limits]
        atheris.Setup([sys.argv[0], *flags, str(seeds)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
