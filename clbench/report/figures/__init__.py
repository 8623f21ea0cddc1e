"""Figures made from run folders: one small function each, one style, the same bytes every time."""
