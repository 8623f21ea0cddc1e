"""Data: cases as published, read, checked, prepared once and sampled without state."""
