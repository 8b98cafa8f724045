"""Motions for other programs and for the eye: BVH, NPZ, CSV, GIF; no torch."""
