"""Freed memory is kept where the C library can be told to, and nothing fails where it cannot."""

from __future__ import annotations

import ctypes
import platform
from unittest.mock import patch

import pytest

from clbench.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_glibc_takes_it():
    assert keep_freed_memory()


@pytest.mark.parametrize("missing", [OSError, TypeError])
def test_other_systems_go_on_without(missing):
    with patch.object(ctypes, "CDLL", side_effect=missing):
        assert not keep_freed_memory()


def test_a_c_library_without_it_goes_on():
    with patch.object(ctypes, "CDLL", return_value=object()):
        assert not keep_freed_memory()
