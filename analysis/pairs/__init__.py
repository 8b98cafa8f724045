"""Minimal pairs of captions: one set per file."""
