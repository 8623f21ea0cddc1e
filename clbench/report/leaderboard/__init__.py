"""The leaderboard: per stream and budget one ranked table of everything that is in a folder of runs.

board = leaderboard(*find_runs("results/runs"))
write(board, Path("results"))
"""

from __future__ import annotations

from clbench.report.leaderboard.board import Board, Entry, Leaderboard, leaderboard
from clbench.report.leaderboard.files import write

__all__ = ["Board", "Entry", "Leaderboard", "leaderboard", "write"]
