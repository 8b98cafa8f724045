"""Motion codecs: one file each."""
