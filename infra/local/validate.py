#!/usr/bin/env python3
"""Checks the template the way `sam validate --lint` and cfn-lint do, warnings included.

Standard library only.
"""

import os
import subprocess
import sys
from pathlib import Path

import venvs

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = venvs.path("tools") / "bin"


def main() -> int:
    # sam wants a region before it reads a file, and looks for credentials it does not need.
    env = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "__SAM_CLI_APP_DIR": str(venvs.LOCAL / "sam"),
    }
    for command in (
        ["sam", "validate", "--lint", "--template-file", "infra/template.yaml"],
        ["cfn-lint", "--non-zero-exit-code", "informational", "--template", "infra/template.yaml"],
    ):
        done = subprocess.run(
            [str(TOOLS / command[0]), *command[1:]],
            check=False,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            print(f"error: {' '.join(command)}:\n{done.stdout}", file=sys.stderr)
            return 1
        print(f"{command[0]}: infra/template.yaml is clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
