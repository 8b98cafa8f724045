"""Where models run: names of devices, checked before anything is read or written."""

import torch


def named(name: str) -> torch.device:
    """The device called `name`; "auto" takes the accelerator if there is one.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        wanted = torch.device(name)
        torch.zeros(1, device=wanted).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:  # torch built without it raises one of these
        raise ValueError(f"no device {name!r} here ({str(error).splitlines()[0]}); use auto or cpu") from error
    return wanted
