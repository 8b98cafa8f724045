"""Datasets of motion and captions: one file each."""
