"""`heliograph completion`: what the shell needs to complete commands and options."""

import importlib
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.completion.install import add_to_rc_file, get_default_completion_path

from heliograph.cli import build_app
from heliograph.cli.ask import Flag
from heliograph.cli.screen import note
from heliograph.errors import StorageError

Shell = Literal["bash", "zsh", "fish"]

# the same program under its short name
SHORT = {
    "bash": "complete -F _heliograph helio\n",
    "fish": "complete -c helio -w heliograph\n",
}
HINTS = {
    "bash": "Start a new shell, or: source ~/.bashrc",
    "zsh": "Start a new shell; ~/.zshrc must call compinit.",
    "fish": "It works in every new shell.",
}


def completion(shell: Shell, /, *, install: Annotated[Flag, Parameter()] = False) -> int:
    """Print the completion script for a shell, or install it for yourself.

    Args:
        shell: bash, zsh or fish.
        install: Write it where the shell looks, and name it in ~/.bashrc or ~/.zshrc.
    """
    script = completion_script(shell)
    if not install:
        print(script, end="")
        return 0
    try:
        place = get_default_completion_path(shell, "heliograph")
        place.write_text(script, encoding="utf-8")
        if shell != "fish":  # which looks into its folder by itself
            add_to_rc_file(place, "heliograph", shell)
    except OSError as error:
        raise StorageError(
            "The completion could not be installed.",
            why=str(error),
            remedy=f"Write it yourself: heliograph completion {shell} > FILE",
        ) from error
    print(place)
    note(HINTS[shell])
    return 0


def completion_script(shell: Shell) -> str:
    """The script, for both names of the program."""
    module = importlib.import_module(f"cyclopts.completion.{shell}")
    script: str = module.generate_completion_script(build_app(), "heliograph")
    # zsh reads the names in the first line, and wants nothing behind the function
    script = script.replace("#compdef heliograph\n", "#compdef heliograph helio\n", 1)
    return f"{script.rstrip()}\n{SHORT.get(shell, '')}"
