"""How each embedder is trained: one file each, with a `main` that is its command."""
