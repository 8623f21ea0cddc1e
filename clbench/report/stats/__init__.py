"""Statistics of runs: intervals, ranks and paired tests over seeds and patients."""
