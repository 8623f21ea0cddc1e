"""Toy streams and a cache that all contract tests share."""

import pytest

from toy import write_class_stream, write_domain_stream


def first_tasks(card, count):
    """The text of a card with its first tasks alone."""
    head, *tasks = card.read_text().split("[[tasks]]")
    return "[[tasks]]".join([head, *tasks[:count]])


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
    card = domain_card.with_name("first.toml")
    card.write_text(first_tasks(domain_card, 1))
    return card


@pytest.fixture(scope="session")
def volume_card(class_card):
    """The class stream as volumes, for 3-D networks."""
    text = class_card.read_text()
    for plane, volume in (("dims = 2", "dims = 3"), ("patch_size = [16, 16]", "patch_size = [16, 16, 8]")):
        assert plane in text
        text = text.replace(plane, volume)
    card = class_card.with_name("volumes.toml")
    card.write_text(text)
    return card
