"""Motion generators: one file each."""
