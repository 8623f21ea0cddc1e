"""Streams: ordered tasks over medical data sets, described by versioned cards."""

from clbench.streams.card import cards

__all__ = ["cards"]
