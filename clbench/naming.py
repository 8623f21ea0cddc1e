"""Naming: what cases and patients are called in a run folder, which may be salted hashes in place of their ids."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clbench.errors import InputError, writing

DIGITS = 16  # of a hash in hex: 64 bits; that two of a million cases share a name has a chance of 3 in 100 million


@dataclass(frozen=True)
class Naming:
    """Ids as they are written.

    Attributes:
        salt: secret; empty leaves every id as it is.
    """

    salt: bytes = b""

    @property
    def mark(self) -> str:
        """What ``run.json`` keeps to tell one salt from another; empty without one."""
        return self._hash("salt", "")[:8] if self.salt else ""

    def case(self, case_id: str) -> str:
        """The name of a case."""
        return self._hash("case", case_id) if self.salt else case_id

    def patient(self, patient_id: str) -> str:
        """The name of a patient."""
        return self._hash("patient", patient_id) if self.salt else patient_id

    def ids(self, names: Iterable[str], case_ids: Iterable[str]) -> dict[str, str]:
        """Name -> case id, for those names that one of the case ids has."""
        known = {self.case(case_id): case_id for case_id in case_ids}
        return {name: known[name] for name in names if name in known}

    def _hash(self, kind: str, text: str) -> str:
        return hmac.new(self.salt, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()[:DIGITS]


def salted() -> Naming:
    """Names by the salt in ``CLBENCH_SALT``, or else by one of this user's own, which is drawn at the first use.

    The drawn salt lies in ``$XDG_CONFIG_HOME/clbench/salt`` (by default ``~/.config``), readable by the user only.

    Raises:
        InputError: ``CLBENCH_SALT`` is too short to keep anything secret, or the file cannot be read.
        RunError: the salt cannot be written.
    """
    given = os.environ.get("CLBENCH_SALT", "")
    if given:
        if len(given) < 16:
            raise InputError("CLBENCH_SALT has fewer than 16 characters, which can be guessed; give a longer secret")
        return Naming(given.encode())
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "clbench" / "salt"
    if not path.exists():
        _draw(path)
    try:
        salt = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        salt = b""
    if len(salt) < 16:
        raise InputError(f"{path} holds no salt; remove it to draw another one, or set CLBENCH_SALT")
    return Naming(salt)


def naming_of(mark: str) -> Naming:
    """The naming of a run whose ``run.json`` has a mark.

    Raises:
        InputError: it was anonymized with another salt.
    """
    if not mark:
        return Naming()
    naming = salted()
    if naming.mark != mark:
        raise InputError("the run was anonymized with another salt; set CLBENCH_SALT to it to compare with the data")
    return naming


def _draw(path: Path) -> None:
    """Write a salt beside its place, then link it there: of two processes, one wins and both read its salt."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".salt-{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, secrets.token_hex(32).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        with suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
