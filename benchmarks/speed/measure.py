"""Measuring: contenders in turn, medians of repeats after warm-up, ratios pair by pair."""

from __future__ import annotations

import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scipy.stats import quantile_test


class Contender(Protocol):
    """Something that can do the next few steps."""

    def steps(self, count: int) -> None:
        """Do them and return when they are done."""


@dataclass(frozen=True)
class Timing:
    """Seconds per step of one contender, one value per repeat."""

    repeats: tuple[float, ...]

    @property
    def median(self) -> float:
        """Over the repeats."""
        return statistics.median(self.repeats)

    def over(self, other: Timing) -> float:
        """Median of the ratios of repeats that were measured next to each other."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.repeats, other.repeats, strict=True))


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the median of the distribution from which the values come; its ends are two of the values.

    Chosen by their ranks, as the sign test has it, it covers 95 % or more (96.9 % for 6 values, whose least and
    greatest they are) and assumes nothing but that the values are independent. NaN for fewer than 6, which have none.
    """
    ends = quantile_test(values, p=0.5).confidence_interval(0.95)
    return float(ends.low), float(ends.high)


def interleave(
    contenders: Mapping[str, Contender],
    *,
    steps: int,
    repeats: int,
    wait: Callable[[], None],
    warm_up: int = 2,
) -> dict[str, Timing]:
    """Let each contender do ``steps`` steps, in turn, ``repeats`` times; what disturbs the machine hits all alike.

    The order of the turns is drawn anew for each repeat, from a fixed seed: a step also depends on whose step was
    before it, and in a fixed order, or one that is turned back and forth, some would follow themselves and others not.

    Args:
        contenders: by name.
        steps: per repeat.
        repeats: counted.
        wait: returns when the device has done all that was asked of it.
        warm_up: steps of each contender that are not counted, first.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender.steps(warm_up)
    order = random.Random(0)
    for _ in range(repeats):
        for name in order.sample(list(contenders), len(contenders)):
            wait()
            begun = time.perf_counter()
            contenders[name].steps(steps)
            wait()
            seconds[name].append((time.perf_counter() - begun) / steps)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def say(text: str) -> None:
    """One line of progress on standard error."""
    print(f"speed: {text}", file=sys.stderr, flush=True)


class StopGate(BaseException):
    """Ends a gated loop; not an Exception, so that nothing on the way takes it for a failure."""


class Gated:
    """A training loop of somebody else's, made to do a few steps at a time: it runs in a thread that waits in between.

    Args:
        loop: called with ``pause``, which it must call after every step.
    """

    def __init__(self, loop: Callable[[Callable[[], None]], None]) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._stopped, self._error = False, None
        self._thread = threading.Thread(target=self._run, args=(loop,), daemon=True)
        self._thread.start()

    def steps(self, count: int) -> None:
        """Let the loop do ``count`` steps; the first call waits for its set-up too."""
        for _ in range(count):
            self._go.release()
            self._done.acquire()
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """End the loop."""
        self._stopped = True
        self._go.release()
        self._thread.join()

    def _run(self, loop: Callable[[Callable[[], None]], None]) -> None:
        try:
            self._enter()
            loop(self._pause)
            raise RuntimeError("the loop ended before the measurement did")
        except StopGate:
            pass
        except BaseException as error:
            self._error = error
            self._done.release()

    def _enter(self) -> None:
        self._go.acquire()
        if self._stopped:
            raise StopGate

    def _pause(self) -> None:
        self._done.release()
        self._enter()
