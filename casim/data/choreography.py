"""Choreography: the built-in procedural benchmark, with exact word-to-frame intervals (being written by task C)."""

from casim.data._catalogue import ACTIONS, Action

__all__ = ["ACTIONS", "Action"]
