"""Frozen text encoders: one file each."""
