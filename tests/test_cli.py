"""What all commands share: how they end when stopped."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casim import cli, record


def stopped() -> None:
    """Gets SIGTERM as `timeout` and clusters send it."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)  # the signal ends it


def recorded(folder: Path, work: Callable[[], Any]) -> None:
    with record.opened(record.begin("probe", "x", {}), folder):
        work()


def test_sigterm_is_as_ctrl_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guarded(lambda: recorded(tmp_path, stopped)) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert record.load(tmp_path).status == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_interrupted_command_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with cli.if_stopped("nothing was saved"), cli.if_stopped(cli.GOES_ON):
            stopped()

    assert cli.guarded(work) == 130
    told = capsys.readouterr().err
    assert " ".join(told.split()) == "error: interrupted; the same command goes on where it stopped"


def test_sigterm_and_its_echo_are_one(tmp_path: Path) -> None:
    def close_slowly() -> None:
        try:
            stopped()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            (tmp_path / "closed").touch()

    assert cli.guarded(close_slowly) == 130
    assert (tmp_path / "closed").exists()


def test_a_handler_that_is_set_stays() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        assert cli.guarded(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen == [signal.SIGTERM]


def test_a_command_may_run_in_a_thread() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(cli.guarded(lambda: 3)))
    thread.start()
    thread.join()
    assert codes == [3]
