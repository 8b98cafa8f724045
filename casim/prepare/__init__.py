"""Turns motion of many kinds into folders of HumanML3D's layout, and checks such folders."""
