"""Network parts shared by the backbones."""
