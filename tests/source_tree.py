"""Read the package's own source: modules, what they import, what they run at import."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    name: str
    path: Path
    tree: ast.Module
    text: str

    @property
    def unit(self) -> str:
        """What the layers speak of: the module or package right under clbench."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else parts[0]


@cache
def package_modules() -> tuple[Module, ...]:
    """Every module of clbench."""
    found = []
    for path in sorted((ROOT / "clbench").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, ast.parse(text), text))
    return tuple(found)


def imports(node: ast.AST) -> set[str]:
    """Dotted names of everything imported anywhere below a node; ``from a import b`` gives ``a.b``."""
    found: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            found |= {f"{child.module}.{alias.name}" for alias in child.names}
    return found


def imported_modules(node: ast.AST) -> set[str]:
    """The clbench modules among the imports below a node."""
    names = {module.name for module in package_modules()}
    found = set()
    for name in imports(node):
        if name.split(".")[0] == "clbench":
            found.add(name if name in names else name.rpartition(".")[0])
    return found & names
