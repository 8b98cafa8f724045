"""The authors' evaluator checkpoints, mapped to ours."""
