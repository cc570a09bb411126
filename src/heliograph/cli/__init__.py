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
  heliograph "A snow leopard at golden hour" --aspect 16:9
  heliograph estimate "A poster" --for "A3 print at 300 dpi"
  heliograph images list

A prompt alone means generate. Without an API key everything runs against a
local emulator, at no cost.

Exit codes:
  0 done            4 key or permission   8 provider, network, or --strict
  1 unexpected      5 rate or quota       9 not found
  2 usage           6 blocked, no image   130 interrupted
  3 partly done     7 above a limit"""

# name: where it lives, what it does, examples
COMMANDS = {
    "generate": (
        "generate:generate",
        "Make one image, checked, kept and settled.",
        'heliograph generate "A snow leopard at golden hour" --aspect 16:9',
        'heliograph generate "A poster" --for "A3 print at 300 dpi" -o a3.tiff',
        'heliograph generate "Make it night" -i photo.jpg -o night.jpg',
        'heliograph generate "A fox" -n 4 --max-cost 1.00 --json',
        'heliograph generate "A fox" --idempotency-key order-4711 --tag shop',
        'heliograph generate "A fox" --dry-run',
        'heliograph generate -t product-shot -p product="luxury watch"',
        'heliograph generate "A {red|blue|green} fox" --all --max-cost 1.00',
        "heliograph generate --prompt-file prompt.txt -o - > fox.jpg",
    ),
    "edit": (
        "edit:edit",
        "Change a picture by words, and keep the result as a new version.",
        'heliograph edit photo.jpg "Make it night"',
        'heliograph edit -c "Now warmer light"',
        'heliograph edit -c "A red roof" --region 1200,800,900,600 --protect',
        'heliograph edit --session lighthouse --from 2 "Add a boat" -o boat.jpg',
        'heliograph edit 3f2a91c0 "As a watercolour" --dry-run',
    ),
    "sessions": (
        "sessions:app",
        "Pictures as trees of versions: show, go back, branch, name, export.",
    ),
    "casts": ("casts:app", "Keep sets of images for one look across many pictures."),
    "estimate": (
        "estimate:estimate",
        "Say what a request would cost; nothing is sent.",
        'heliograph estimate "A snow leopard" --size 4K --aspect 16:9',
        'heliograph estimate --for "youtube thumbnail"',
        'heliograph estimate "A {red|blue|green} fox" --combinations',
        "heliograph estimate --all",
    ),
    "prompts": ("prompts:app", "Find, show, save and try prompts, templates and wildcards."),
    "models": ("models:app", "Show what each model can do and what it costs."),
    "images": ("images:app", "Find, show, open, export, verify and rebuild kept images."),
    "sheet": (
        "sheet:sheet",
        "Make a contact sheet of kept pictures: a page of HTML and a PNG.",
        "heliograph sheet -o sheets/",
        'heliograph sheet --search leopard --title "Leopards" -o leopards',
        "heliograph sheet 3f2a91c0 1b7c02aa --no-png",
    ),
    "costs": (
        "costs:costs",
        "Show what was spent, by day, month, model, size or tier.",
        "heliograph costs",
        "heliograph costs --by model --month 2026-11",
    ),
    "budget": ("budget:app", "Set, remove and show what may be spent."),
    "calls": ("calls:app", "List paid calls, and resolve those of unknown outcome."),
    "ledger": ("ledger:app", "Check that the books add up, and show their lines."),
    "doctor": (
        "doctor:doctor",
        "Check key, model, disk, clock and library, and say what to do.",
        "heliograph doctor",
        "heliograph doctor --json",
        "heliograph doctor --server",
    ),
    "config": ("config:app", "Read and change settings."),
    "auth": ("auth:app", "Keep an API key in the system keyring."),
    "completion": (
        "completion:completion",
        "Print or install shell completion.",
        "heliograph completion bash",
        "heliograph completion zsh --install",
    ),
    "serve": (
        "serve:serve",
        "Run the gateway that unmodified SDKs use by changing the base URL.",
        "heliograph serve",
        "heliograph serve --port 9000 --home /srv/heliograph",
        "heliograph serve --simulate --json",
    ),
    "users": ("users:app", "Add, list and limit the users of the gateway."),
    "keys": ("keys:app", "Create, list, revoke and rotate keys of the gateway's users."),
    "backup": (
        "backup:backup",
        "Add a backup of the library to a folder, while everything goes on.",
        "heliograph backup /mnt/backup/heliograph",
        "heliograph backup /mnt/backup/heliograph --verify --json",
    ),
    "restore": (
        "backup:restore",
        "Make a library from a backup, in an empty home folder.",
        "heliograph restore /mnt/backup/heliograph --home /srv/heliograph",
        "heliograph restore backups --name 2026-11-23T014149.584899Z-3a3b",
    ),
    "emulate": (
        "emulate:emulate",
        "Run the local emulator of the Gemini API.",
        "heliograph emulate",
        "heliograph emulate --port 9000 --ledger bill.jsonl --latency realistic",
    ),
    "chaos": ("chaos:app", "Inject faults and crashes into real runs, and compare both ledgers."),
}


def examples(*lines: str) -> str:
    """The examples below a command's help."""
    return "\n  ".join(("Examples:", *lines))


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
        suppress_keyboard_interrupt=False,
    )
    for name, (path, text, *lines) in COMMANDS.items():
        epilogue = {"help_epilogue": examples(*lines)} if lines else {}
        app.command(f"heliograph.cli.{path}", name=name, help=text, **epilogue)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console scripts; always ends in SystemExit."""
    words = sys.argv[1:] if arguments is None else arguments
    from heliograph.cli.edge import run

    raise SystemExit(run(build_app(), with_command(words)))


def with_command(words: list[str]) -> list[str]:
    """A prompt alone means `generate`.

    One plain word could be a mistyped command, and a mistake must not cost money: it takes a
    space, or a script without Latin letters, to be a prompt.
    """
    first = words[0] if words else "-"
    is_prompt = " " in first.strip() or not first.isascii()
    if first.startswith("-") or first in COMMANDS or not is_prompt:
        return words
    return ["generate", *words]
