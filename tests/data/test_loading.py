"""Batches come in step order with the same content, however they are loaded."""

import signal
import threading

import pytest
import torch
from torch.utils.data import DataLoader

from clbench.data import loading
from clbench.data.loading import Batches, DrawnAhead, leave_signals_to_the_parent, load, signals_held

CPU = torch.device("cpu")


class Numbered:
    """Patch ``i`` is full of ``i``."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.full((1, 2, 2), float(index)), torch.full((2, 2), index), 0


class Broken(Numbered):
    def __getitem__(self, index):
        if index == 5:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def slots(batches):
    return [x[:, 0, 0, 0].tolist() for x, _, _ in batches]


def test_a_batch_is_what_avalanche_reads():
    x, y, labels = Batches(Numbered(), 3)[1]
    assert (x.shape, x.dtype) == ((3, 1, 2, 2), torch.float32)
    assert (y.shape, y.dtype) == ((3, 2, 2), torch.int64)
    assert labels.tolist() == [0, 0, 0]
    assert x[:, 0, 0, 0].tolist() == y[:, 0, 0].tolist() == [3, 4, 5]


def test_batches_begin_at_the_step_that_is_still_to_do():
    assert slots(Batches(Numbered(), 4, first_step=1)[i] for i in range(2)) == [[4, 5, 6, 7], [8, 9, 10, 11]]
    with pytest.raises(IndexError, match="batch 2 of 2"):
        Batches(Numbered(), 4, first_step=1)[2]


@pytest.mark.parametrize("cores", [1, 8])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_way_of_loading_gives_the_same(monkeypatch, cores, workers):
    monkeypatch.setattr(loading, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    loader = load(Batches(Numbered(), 4), workers, CPU)
    assert isinstance(loader, DrawnAhead) == (cores == 8 and not workers)
    assert slots(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert len(loader) == 3


def test_the_global_random_stream_is_left_alone():
    before = torch.get_rng_state()
    slots(DrawnAhead(load(Batches(Numbered(), 4), 0, CPU)))
    assert torch.get_rng_state().equal(before)


def test_an_error_comes_up_where_its_batch_would_have_come():
    batches = iter(DrawnAhead(load(Batches(Broken(), 2), 0, CPU)))
    assert slots([next(batches), next(batches)]) == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    for _ in DrawnAhead(load(Batches(Numbered(), 1), 0, CPU)):
        break
    assert threading.active_count() == before


HELD = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back on this system")
BOTH = {signal.SIGINT, signal.SIGTERM}


@HELD
def test_a_signal_while_loader_processes_start_waits_until_they_have(monkeypatch):
    heard = []

    def start(_):  # a process that is started here has this thread alone, so the signal goes to no other
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        return None, list(heard)

    monkeypatch.setattr(DataLoader, "__iter__", start)
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        _, heard_at_start = load(Batches(Numbered(), 4), 2, CPU).__iter__()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard_at_start == []
    assert heard == [signal.SIGTERM]


@HELD
def test_a_second_ctrl_c_at_the_moment_of_holding_leaves_no_signal_held_back(monkeypatch):
    block = signal.pthread_sigmask

    def interrupted(how, signals):
        before = block(how, signals)
        if how == signal.SIG_BLOCK and signals:
            raise KeyboardInterrupt  # as the call itself does for a signal that came just before
        return before

    monkeypatch.setattr(signal, "pthread_sigmask", interrupted)
    with pytest.raises(KeyboardInterrupt), signals_held():
        pytest.fail("not held")
    assert not block(signal.SIG_BLOCK, ()) & BOTH


@HELD
def test_where_no_loader_can_ask_who_sent_a_sigterm_none_is_held_back_for_good(monkeypatch):
    monkeypatch.delattr(signal, "sigwaitinfo", raising=False)  # macOS
    before = signal.getsignal(signal.SIGINT)
    try:
        with signals_held():
            leave_signals_to_the_parent(0)
            assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & BOTH
    finally:
        signal.signal(signal.SIGINT, before)
