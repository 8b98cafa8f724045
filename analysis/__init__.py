"""Probes: each asks one question of trained models."""
