"""`sam local` on the built functions, in the Lambda base image under Docker, against the AWS and Altcraft of `make local`.

    python -m local.sam_local SAM BUILD_DIR invoke ActivateFunction --event events/direct-activate.json
    python -m local.sam_local SAM BUILD_DIR start-api --port 3001

Environment, all optional: PORT or URL (the stack's), BASE_IMAGE (else AWS's own; where it cannot be had, a stand-in is built).
The environment of the functions goes into `.env.json`, which SAM passes on only as far as a template declares the names; so the
names by which an SDK finds another AWS are declared in a copy of the built template, beside it.
"""

import ipaddress
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from local.engine import CREDENTIALS, REGION
from local.stack import ROOT
from local.template import read
from ops.errors import Unusable
from ops.target import CONTROL, DEFAULT_PORT, Laptop

ARCHITECTURE = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
BASE_IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
STAND_IN = "lambda-local/python:3.13"
THIS_MACHINE = "host.docker.internal"
"""This machine's name inside a container."""

ENV_FILE = ROOT / ".env.json"


def docker(*arguments: str) -> str:
    """Ask Docker and return what it prints. Raises Unusable where no engine answers, or it refuses."""
    try:
        asked = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise Unusable(
            "there is no `docker` here: install Docker; or try the functions without it, by `make local`"
        ) from error
    except subprocess.CalledProcessError as error:
        raise Unusable(f"`docker {' '.join(arguments)}` failed: {error.stderr.strip()}") from error
    return asked.stdout.strip()


def host() -> str:
    """The address on which a server of this machine must listen for containers to reach it. Raises Unusable."""
    system = docker("info", "--format", "{{.OperatingSystem}}")
    if system == "Docker Desktop":
        return "127.0.0.1"  # its containers come in there
    bridge = json.loads(docker("network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"))
    # An engine that has run no container yet may name only the network, whose first address it is going to take.
    return bridge.get("Gateway") or str(ipaddress.ip_network(bridge["Subnet"])[1])


def base_image(environ: Mapping[str, str]) -> str:
    """The image to run in: a named one, AWS's own, or a stand-in that is built if need be. Raises Unusable."""
    if named := environ.get("BASE_IMAGE"):
        return named
    if present := next((image for image in (BASE_IMAGE, STAND_IN) if docker("images", "--quiet", image)), None):
        return present
    try:
        docker("pull", "--quiet", BASE_IMAGE)
    except Unusable as error:
        if not shutil.which("mmdebstrap"):
            raise Unusable(
                f"{error}\nThe base image cannot be had, and to build a stand-in Debian's mmdebstrap is needed: install it, "
                "or name an image that is here by BASE_IMAGE"
            ) from error
        print(f"{error}\nA stand-in is built from Debian's packages.", file=sys.stderr)
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run(
            [ROOT / "local/base_image/build.sh", STAND_IN], env={"UV": uv, **environ}, check=True, stdout=sys.stderr
        )
        return STAND_IN
    return BASE_IMAGE


def running_stack(environ: Mapping[str, str]) -> str:
    """The address of a running stack that containers can reach. Raises Unusable."""
    address = host()
    port = environ.get("PORT") or DEFAULT_PORT
    url = environ.get("URL") or f"http://{address}:{port}"
    try:
        _ = Laptop(url).values
    except Unusable as error:
        raise Unusable(
            f"no stack answers at {url}, where containers would look for it: start one, `make local HOST={address} PORT={port}`"
        ) from error
    return url


def from_inside(value: str) -> str:
    """A value as a container needs it: this machine's addresses by the name that it has there."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or parts.hostname not in {"127.0.0.1", "localhost"}:
        return value
    return urlunsplit(parts._replace(netloc=f"{THIS_MACHINE}:{parts.port}" if parts.port else THIS_MACHINE))


def environments(declared: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What `--env-vars` takes: the variables of each function, by its logical id."""
    return {name: {key: from_inside(value) for key, value in own.items()} for name, own in declared.items()}


def with_variables(template: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, Any]:
    """The template, every function of which has these variables too."""
    general = template.get("Globals", {})
    function = general.get("Function", {})
    environment = function.get("Environment", {})
    variables = {**environment.get("Variables", {}), **more}
    changed = {**function, "Environment": {**environment, "Variables": variables}}
    return {**template, "Globals": {**general, "Function": changed}}


def main() -> None:
    """Prepare, then become `sam local`."""
    sam, folder, *command = sys.argv[1:]
    try:
        url = running_stack(os.environ)
        image = base_image(os.environ)
    except Unusable as error:
        sys.exit(str(error))
    ready = Laptop(url).values
    declared = requests.get(f"{url}{CONTROL}/environment", timeout=5).json()
    ENV_FILE.write_text(json.dumps(environments(declared), indent=2))
    endpoints = {
        "AWS_ENDPOINT_URL": from_inside(ready["aws_endpoint_url"]),
        "AWS_ENDPOINT_URL_LAMBDA": from_inside(ready["lambda_endpoint_url"]),
    }
    template = Path(folder) / "template-local.json"
    template.write_text(json.dumps(with_variables(read(Path(folder) / "template.yaml"), endpoints)))
    options = {
        "--template-file": str(template),
        "--parameter-overrides": f"Architecture={ARCHITECTURE}",
        "--env-vars": str(ENV_FILE),
        "--invoke-image": image,
        "--add-host": f"{THIS_MACHINE}:host-gateway",
        "--region": REGION,
    }
    arguments = [sam, "local", *command, "--skip-pull-image", *(part for option in options.items() for part in option)]
    # Not the engineer's own credentials: the functions get these.
    os.execve(sam, arguments, {**os.environ, **CREDENTIALS, "SAM_CLI_TELEMETRY": "0"})  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
