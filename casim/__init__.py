"""Text-to-motion models with pooled or token-level text injection."""
