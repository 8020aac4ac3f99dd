"""What administrators set comes from arguments: a job can write into the environment."""

from __future__ import annotations

import pytest

from ecs_exec.errors import SettingsError
from ecs_exec.settings import take_arguments

PROGRAM = "RD_CONFIG_SESSION_MANAGER_PLUGIN"


@pytest.mark.parametrize(
    "value", ["", "/opt/smp", "it's $HOME; a plugin", "a=b", "${config.profile}", "-c", "grüße", "two\nlines"]
)
def test_the_same_value_in_both_is_the_administrators(value: str) -> None:
    """Rundeck gives each as an argument and as a variable."""
    environ = {PROGRAM: value}
    take_arguments(environ, [f"session-manager-plugin={value}"])
    assert environ == {PROGRAM: value}


@pytest.mark.parametrize("argument", ["", "smp", "${config.session-manager-plugin}", "/tmp/bait "])  # noqa: S108
def test_another_value_in_the_environment_is_a_jobs(argument: str) -> None:
    """It is refused by name; the value is not shown."""
    environ = {PROGRAM: "/tmp/bait"}  # noqa: S108
    with pytest.raises(SettingsError, match="only administrators may set session-manager-plugin") as caught:
        take_arguments(environ, [f"session-manager-plugin={argument}"])
    assert "bait" not in str(caught.value)


def test_a_value_that_a_job_took_away_is_missed() -> None:
    """An empty variable does not stand for the administrators' value."""
    with pytest.raises(SettingsError):
        take_arguments({"RD_CONFIG_PROFILE": ""}, ["profile=ops"])


def test_a_reference_that_rundeck_left_is_no_value() -> None:
    """It stands for a setting that is nowhere."""
    environ: dict[str, str] = {}
    take_arguments(environ, ["profile=${config.profile}"])
    assert environ == {"RD_CONFIG_PROFILE": ""}


def test_by_hand_the_environment_is_the_word() -> None:
    """Without arguments Rundeck has not started the program."""
    environ = {PROGRAM: "smp"}
    take_arguments(environ, [])
    assert environ == {PROGRAM: "smp"}
