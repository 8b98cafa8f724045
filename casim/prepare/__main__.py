"""`python -m casim.prepare COMMAND`: the sub-commands by name."""

from casim.cli import main_exit
from casim.prepare.asf_amc import asf_amc
from casim.prepare.bvh import bvh
from casim.prepare.doctor import doctor
from casim.prepare.joints import joints

COMMANDS = {"joints": joints, "bvh": bvh, "asf_amc": asf_amc, "doctor": doctor}
"""The sub-commands by name."""

if __name__ == "__main__":
    main_exit(COMMANDS)
