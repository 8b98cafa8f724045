"""The authors' checkpoints, mapped to ours and back: one file per system."""
