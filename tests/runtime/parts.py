"""The parts of a sandbox: Lambda's own Python with its interface client, the emulator, and what `make build` builds."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARCHITECTURE = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
"""This machine's, by Lambda's name."""


class Missing(Exception):
    """A part is not installed; the message names it, and how to install it."""


@dataclass(frozen=True)
class Runtime:
    """`python`: Lambda's version, with only awslambdaric and boto3 installed. `emulator`: SAM CLI's copy."""

    python: Path
    emulator: Path

    @classmethod
    def find(cls) -> "Runtime":
        """Find the runtime that `make runtime` installs.

        Raises:
            Missing: it is not installed.
        """
        python = ROOT / ".venv-runtime/bin/python"
        if not python.exists():
            raise Missing("there is no .venv-runtime: `make runtime` makes it where a Python 3.13 is found")
        emulators = ROOT.glob(f".venv-sam/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}")
        emulator = next(emulators, None)
        if emulator is None:
            raise Missing("there is no runtime interface emulator: `make runtime` installs it with SAM's command line")
        return cls(python, emulator)


@dataclass(frozen=True)
class Build:
    """The output of `make build` in `folder`: a folder for each function and for the layer."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Build":
        """Build for this machine's processor into `folder`.

        Raises:
            RuntimeError: with the build's output.
        """
        command = ["make", "--no-print-directory", "build", f"ARCH={ARCHITECTURE}", f"BUILD_DIR={folder}"]
        made = subprocess.run(command, cwd=ROOT, env=_plain(), capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)
        return cls(folder)

    def task(self, function: str) -> Path:
        """The folder that Lambda unpacks to /var/task for a function, by its logical id."""
        return self.folder / function

    @property
    def layer(self) -> Path:
        """The folder that Lambda unpacks to /opt."""
        return self.folder / "AltcraftLayer"


def _plain() -> dict[str, str]:
    """The environment without the variables of an outer `make`."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
