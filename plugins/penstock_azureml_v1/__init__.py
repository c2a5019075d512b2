"""The door for callers of Azure ML v1: they change a host name, and nothing else."""
