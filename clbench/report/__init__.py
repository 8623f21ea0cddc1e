"""Reports: tables made from run folders and nothing else."""
