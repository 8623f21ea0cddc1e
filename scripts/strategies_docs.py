"""Write the sections of docs/strategies.md from the docstrings of the strategies' plugins.

Usage: python scripts/strategies_docs.py [--check]      --check writes nothing and exits 1 when the page is out of date.

Each group of sections stands between two comments, ``<!-- strategies: FAMILY -->`` and its ``end``; what is around
them is written by hand, as are the sections of strategies without a plugin. A docstring has, in this order of the page:
paragraphs of what the strategy does, then ``Args:`` (the options), ``Equation:``, ``Source:``, ``Differs from the
source in:``, ``Defaults:`` (how they were chosen), ``Note:``, ``Memory:`` and ``Time:``. Under them stands what the
sweeps in results/tuning say of the strategy.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

from tuning_tables import curves

from clbench.strategies import STRATEGIES
from clbench.strategies.compose import RUN_ARGUMENTS, options_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "strategies.md"
NEEDED = ("Source", "Equation", "Memory", "Time")
HEADINGS = ("Args", *NEEDED, "Differs from the source in", "Defaults", "Note")
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def parts(docstring: str) -> dict[str, str]:
    """Heading -> its text, and ``""`` -> the paragraphs before the first one."""
    pieces = re.split(rf"^({'|'.join(HEADINGS)}):", inspect.cleandoc(docstring), flags=re.MULTILINE)
    found = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return {"": pieces[0], **found}


def options(arguments: str) -> dict[str, str]:
    """Option -> its description in an ``Args:`` part."""
    pieces = re.split(r"^ {4}(\w+): ", arguments, flags=re.MULTILINE)
    return {name: flowed(text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def flowed(text: str) -> str:
    """One line of Markdown: single backticks, papers linked."""
    line = re.sub(r"\s+", " ", text).strip().replace("``", "`")
    line = re.sub(r"arXiv (\d{4}\.\d{5}|\d{4}\.\d{4})", r"[arXiv \1](https://arxiv.org/abs/\1)", line)
    return re.sub(r"doi (10\.[^\s,;)]+[^\s,;).])", r"[doi \1](https://doi.org/\1)", line)


def limits(annotation: Any) -> str:
    """The values an option may take, from its annotation."""
    if hasattr(annotation, "__metadata__"):
        found = [item for field in annotation.__metadata__ for item in field.metadata]
        signs = [(LIMITS[name], getattr(item, name)) for item in found for name in LIMITS if hasattr(item, name)]
        return ", ".join(f"{sign} {value}" for sign, value in signs)
    if annotation is bool:
        return "`true`, `false`"
    choices = get_args(annotation) if get_origin(annotation) is not None else ()
    return ", ".join(f"`{choice}`" for choice in choices) if choices else "names, joined by commas"


def table(name: str, plugin: Any, described: dict[str, str]) -> str:
    """The options with default, values and meaning."""
    signature = inspect.signature(plugin, eval_str=True).parameters
    known = {option: value for option, value in signature.items() if option not in RUN_ARGUMENTS}
    if missing := known.keys() - described.keys():
        raise SystemExit(f"{plugin.__name__}: Args does not describe {', '.join(sorted(missing))}")
    if not known:
        return "- Options: none."
    defaults = options_of(name, {})
    rows = [
        (
            f"`{option}`",
            f"`{defaults[option]}`",
            limits(value.annotation),
            described[option].rstrip(".").replace("|", r"\|"),
        )
        for option, value in known.items()
    ]
    lines = [
        "| option | default | values | meaning |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n" + "\n".join(lines) + "\n"


def section(name: str, plugin: Any) -> str:
    """The section of one strategy."""
    text = parts(plugin.__doc__ or "")
    if missing := [heading for heading in NEEDED if heading not in text]:
        raise SystemExit(f"{plugin.__name__}: the docstring lacks {', '.join(f'{heading}:' for heading in missing)}")
    paragraphs = "\n\n".join(flowed(paragraph) for paragraph in re.split(r"\n\n+", text[""].strip()))

    def bullet(heading: str) -> list[str]:
        return [f"- {heading}: {flowed(text[heading])}"] if heading in text else []

    lines = [
        *bullet("Source"),
        *bullet("Equation"),
        table(name, plugin, options(text.get("Args", ""))),
        *bullet("Differs from the source in"),
        *bullet("Defaults"),
        *bullet("Note"),
        *bullet("Memory"),
        *bullet("Time"),
    ]
    sweeps = f"\n\n{found}" if (found := curves(name)) else ""
    return f"### `{name}`\n\n{paragraphs}\n\n" + "\n".join(lines) + sweeps


def families() -> dict[str, list[str]]:
    """Family -> the strategies of it that have a plugin, in the registry's order."""
    found: dict[str, list[str]] = {}
    for name, spec in STRATEGIES.items():
        if spec.plugin:
            found.setdefault("reference" if spec.reference else spec.family, []).append(name)
    return found


def page(current: str) -> str:
    """The page with every generated group replaced."""
    for family, names in families().items():
        start, end = f"<!-- strategies: {family} -->\n", f"<!-- end strategies: {family} -->\n"
        if start not in current or end not in current:
            raise SystemExit(f"{PAGE.name} has no {start.strip()} ... {end.strip()} for {', '.join(names)}")
        before, rest = current.split(start)
        _, after = rest.split(end)
        body = "\n\n".join(section(name, STRATEGIES[name].load()) for name in names)
        current = f"{before}{start}\n{body}\n\n{end}{after}"
    return current


def main() -> int:
    """Write or check the page."""
    current = PAGE.read_text(encoding="utf-8")
    wanted = page(current)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
    elif wanted != current:
        print(f"{PAGE.name} is out of date: run scripts/strategies_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
