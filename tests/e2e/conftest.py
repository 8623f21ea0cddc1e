"""Tiny data trees, made once, and a cache of one's own."""

import shutil

import pytest

import tiny_trees
from toy import write_class_stream, write_domain_stream

MAKERS = {
    "prostate-sites": tiny_trees.prostate,
    "acdc-groups": tiny_trees.acdc,
    "hippocampus-classes": tiny_trees.hippocampus,
    "toy.toml": lambda root: write_class_stream(root).parent,
    "domain/toy.toml": lambda root: write_domain_stream(root / "domain", tasks=2).parent.parent,
}


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CLBENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def sound_trees(tmp_path_factory):
    """Stream -> a sound tree of its data, made when it is first asked for."""
    made = {}

    def tree(stream):
        if stream not in made:
            made[stream] = MAKERS[stream](tmp_path_factory.mktemp("tree"))
        return made[stream]

    return tree


@pytest.fixture
def make_tree(sound_trees, tmp_path):
    """A copy of a stream's data to break."""

    def copy(stream):
        return shutil.copytree(sound_trees(stream), tmp_path / "data")

    return copy
