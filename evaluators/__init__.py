"""Protocols, embedders and metrics."""
