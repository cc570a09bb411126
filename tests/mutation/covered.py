"""Branch coverage of the pure heart by its own tests; exit status 1 below 100 %.

    python -m tests.mutation.covered

Invariant: exactly the modules of `SUBJECTS` are measured, with exactly their tests; what is left
out of the count is said in pyproject.toml and nowhere else.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutation.subjects import ROOT, SUBJECTS, quick_tests, source_of

WANTED = 100  # percent


def main() -> int:
    """Run the tests under coverage and print the table."""
    files = sorted({name for module in SUBJECTS for name in quick_tests(module)})
    sources = ",".join(str(source_of(module).relative_to(ROOT)) for module in SUBJECTS)
    with tempfile.TemporaryDirectory(prefix="heliograph-coverage-") as folder:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder) / "data")}

        def coverage(*arguments: str) -> int:
            command = [sys.executable, "-m", "coverage", *arguments]
            return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode

        return (
            coverage("run", "-m", "pytest", "-p", "no:xdist", *files)
            or coverage("combine", "--quiet")
            or coverage(
                *("report", f"--include={sources}", f"--fail-under={WANTED}", "--no-skip-covered")
            )
        )


if __name__ == "__main__":
    raise SystemExit(main())
