"""`heliograph emulate`: the local emulator in the foreground."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from heliograph.cli.ask import Flag
from heliograph.cli.screen import note
from heliograph.emulator import EmulatorSettings, run
from heliograph.emulator.settings import StartError
from heliograph.errors import ConfigurationError, InvalidRequest, Problem


def emulate(
    *,
    port: int = 8787,
    host: str = "127.0.0.1",
    ledger: Path | None = None,
    latency: str = "0",
    small: Flag = False,
    tiny: Flag = False,
    signatures: Literal["realistic", "short"] | None = None,
    api_key: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    rules: Path | None = None,
    quotas: Path | None = None,
    tls: Flag = False,
    enforce_signatures: bool = True,
    size_policy: Literal["strict", "silent"] = "strict",
    billing: Literal["on_complete", "on_accept", "on_first_byte"] = "on_complete",
    seed: int | None = None,
) -> int:
    """Run the local emulator of the Gemini API until Ctrl-C.

    It draws pictures, bills like Google, and fails on demand: put [[fault:NAME]] into a prompt.

    Args:
        port: Port on this machine; 0 takes a free one.
        host: Loopback address; others are refused.
        ledger: File for the bill, one JSON object a line.
        latency: Seconds before each answer, or "realistic".
        small: Cheap plain pictures and short signatures, for volume tests.
        tiny: 64x64 pictures whatever is asked, for runs of thousands.
        signatures: Length of thought signatures.
        api_key: Accept only this key; may be repeated. Default: any key.
        rules: JSON file with fault rules.
        quotas: JSON file with quotas and spend limits that count.
        tls: TLS ports too, with good and with bad certificates.
        enforce_signatures: Refuse history whose signatures are missing, as Google does.
        size_policy: Refuse unknown sizes, or silently answer 1K.
        billing: When a call counts as billed.
        seed: Same seed and same calls give the same bytes.
    """
    try:
        settings = EmulatorSettings(
            host=host,
            port=port,
            ledger=ledger,
            latency=_latency(latency),
            small=small,
            tiny=tiny,
            signatures=signatures,
            api_keys=tuple(api_key),
            rules=rules,
            quotas=quotas,
            tls=tls,
            enforce_signatures=enforce_signatures,
            size_policy=size_policy,
            billing=billing,
            seed=seed,
        )
    except ValueError as error:
        raise _refused(error) from error
    if port:
        base = f"http://{host}:{port}"
        note(f"Emulator of the Gemini API at {base}; every picture is simulated. Use it with:")
        note(f"  export GOOGLE_GEMINI_BASE_URL={base} GEMINI_API_KEY=any")
        note(f"  curl {base}/_emulator/faults   lists what it can break")
    try:
        return run(settings)
    except StartError as error:
        raise _refused(error) from error


def _refused(error: ValueError) -> ConfigurationError:
    return ConfigurationError(
        "The emulator cannot start like this.",
        why=str(error),
        remedy="See `heliograph emulate --help`.",
    )


def _latency(text: str) -> float | Literal["realistic"]:
    if text == "realistic":
        return "realistic"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        problem = Problem(
            field="latency",
            value=text,
            message="is neither seconds nor `realistic`",
            nearest=("0", "realistic"),
        )
        raise InvalidRequest([problem])
    return seconds
