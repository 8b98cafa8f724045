"""The older MDM inside the CASIM repository: `embT` puts time + text in front of the frames."""

import handle_mdm
from golden import Golden


def check(golden: Golden) -> None:
    handle_mdm.check(golden, is_old=True)
