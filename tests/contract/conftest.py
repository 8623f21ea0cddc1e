"""Toy streams and a cache that all contract tests share."""

import pytest

from toy import write_class_stream, write_domain_stream


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("os.fsync", lambda handle: None)  # hundreds of runs, and none is to outlive a power cut
        yield


@pytest.fixture(scope="session")
def domain_card(tmp_path_factory):
    return write_domain_stream(tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="session")
def class_card(tmp_path_factory):
    return write_class_stream(tmp_path_factory.mktemp("class"))


@pytest.fixture(scope="session")
def first_card(domain_card):
    """The first task of the domain stream alone, with the same data, splits and seeds."""
    text = domain_card.read_text()
    second = text.index("[[tasks]]", text.index("[[tasks]]") + 1)
    card = domain_card.with_name("first.toml")
    card.write_text(text[:second])
    return card
