"""Models that score or embed motion: one file each."""
