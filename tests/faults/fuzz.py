"""Coverage-guided fuzzing of the readers of strangers' files; needs atheris, from the extra ``fuzz`` (Linux).

python tests/faults/fuzz.py READER INPUTS FOLDER     one reader
python tests/faults/fuzz.py all INPUTS FOLDER        every reader, those of whole run folders with a tenth of the inputs
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import atheris

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

with atheris.instrument_imports(include=["clbench", "tomllib"]):
    from hostile_readers import READERS, survives, warm_up

MOST_BYTES, MOST_SECONDS, MOST_MB = 8192, 10, 4096
FAILURES = ("crash", "timeout", "oom", "slow", "leak")


def main(name: str, inputs: int, folder: Path) -> None:
    """Feed a reader; libFuzzer ends the process, with a code that is not 0 when an input was not survived."""
    reader, found = READERS[name], Counter[str]()
    seeds = folder / name / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(reader.seeds):
        (seeds / str(number)).write_bytes(seed)

    def mutated(content: bytes, most: int, seed: int) -> bytes:
        """Half of the inputs keep the form of a file, half of these a sound one: they reach what is behind parsers."""
        rng = Random(seed)
        if rng.random() < 0.5:
            with suppress(Exception):  # where there is no form to keep
                return reader.mutate(rng.choice((content, rng.choice(reader.seeds))), rng)[:most]
        return bytes(atheris.Mutate(content, most))

    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        warm_up(reader, Path(place))

        def one(content: bytes) -> None:
            found[survives(reader, content, Path(place))] += 1
            if found.total() == inputs:
                refused = inputs - found["read"]
                reasons = len(found.keys() - {"read"})
                sys.stdout.write(
                    f"{name}: {inputs} inputs, {found['read']} read, {refused} refused for {reasons} reasons\n"
                )
                sys.stdout.flush()

        limits = [f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MB}"]
        flags = [f"-runs={inputs}", "-seed=1", "-verbosity=0", f"-artifact_prefix={folder / name}/", *limits]
        atheris.Setup([sys.argv[0], *flags, str(seeds)], one, custom_mutator=mutated)
        atheris.Fuzz()


def main_all(inputs: int, folder: Path) -> int:
    """Feed every reader in a process of its own and sum up; 1 if any input was not survived."""
    fed, failed = 0, []
    for name, reader in READERS.items():
        count = inputs // 10 if reader.whole_run else inputs
        command = [sys.executable, __file__, name, str(count), str(folder)]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(found.stdout)
        sys.stdout.flush()
        told = re.search(rf"^{re.escape(name)}: (\d+) inputs", found.stdout, re.MULTILINE)
        fed += int(told[1]) if told else 0
        kept = [path.name for path in (folder / name).iterdir() if path.name.startswith(FAILURES)]
        failed += [f"{name}: {', '.join(kept) or found.returncode}"] if found.returncode or kept or not told else []
    sys.stdout.write(f"{fed} inputs in all; not survived: {'; '.join(failed) or 'none'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "all":
        sys.exit(main_all(int(sys.argv[2]), Path(sys.argv[3])))
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
