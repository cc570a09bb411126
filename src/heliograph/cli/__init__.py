"""The command line: `heliograph` and `helio`.

Commands are loaded when they run, so that `--help` stays instant. Invariant: results go to
standard output, everything else to standard error; exit codes are those of `errors.py`.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

EPILOGUE = """\
Examples:
  heliograph generate "A snow leopard on a cliff at golden hour" --aspect 16:9 --size 4K
  heliograph estimate "A poster" --for "A3 print at 300 dpi"
  heliograph images list
  heliograph costs --by model

Without an API key everything runs against a local emulator, at no cost.
Exit codes: 0 done, 2 wrong request, 3 settings or key, 4 cost limit, 5 upstream unavailable,
6 refused, 7 outcome unknown or damaged, 8 other size with --strict, 9 files, 130 interrupted."""


def build_app() -> "App":
    """The command tree; nothing behind a command is imported yet."""
    from cyclopts import App

    from heliograph import __version__

    app = App(
        name="heliograph",
        help="Verified 4K images through the Gemini API: right pixels, exact cost, nothing lost.",
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        version=__version__,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    commands = {
        "generate": ("generate:generate", "Make one image, checked, kept and settled."),
        "estimate": ("estimate:estimate", "Say what a request would cost; nothing is sent."),
        "models": ("models:models", "Show what each model can do and what it costs."),
        "images": ("images:app", "Find, show and export kept images."),
        "costs": ("costs:costs", "Show what was spent, by day, month, model, size or tier."),
        "emulate": ("emulate:emulate", "Run the local emulator of the Gemini API."),
    }
    for name, (path, text) in commands.items():
        app.command(f"heliograph.cli.{path}", name=name, help=text)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console scripts; always ends in SystemExit."""
    words = sys.argv[1:] if arguments is None else arguments
    from heliograph.cli.edge import run

    raise SystemExit(run(build_app(), words))
