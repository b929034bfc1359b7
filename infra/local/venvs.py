#!/usr/bin/env python3
"""Makes the Python environments of the local stack under .local/, one per file in requirements/.

    python3 infra/local/venvs.py ministack tools build clients

An environment is made once and again only when its requirements or the interpreter change. Standard
library only.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOCAL = ROOT / ".local"

# What the pinned packages ask for.
MINIMUM = (3, 11)

# A public client that the tests run asks for a newer Python than it needs.
OPTIONS = {"clients": ["--ignore-requires-python"]}


class Failed(Exception):
    """Something the user has to see, in words that say what to do."""


def path(name: str) -> Path:
    """Where the environment `name` lives, whether it exists or not."""
    return LOCAL / name


def ensure(name: str) -> Path:
    """Returns the environment's directory, after making it if it is missing or out of date."""
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        raise Failed(
            f"Python {MINIMUM[0]}.{MINIMUM[1]} or newer is needed, "
            f"this is {found} ({sys.executable}).\n"
            "Install a newer one and name it: make PYTHON=python3.12 …"
        )
    requirements = HERE / "requirements" / f"{name}.txt"
    target = path(name)
    stamp = target / "stamp"
    wanted = hashlib.sha256(
        requirements.read_bytes() + sys.version.encode() + str(target).encode()
    ).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return target

    LOCAL.mkdir(exist_ok=True)
    log = LOCAL / f"pip-{name}.log"
    print(
        f"Installing {requirements.relative_to(ROOT)} into .local/{name} (once; a minute or so) …",
        flush=True,
    )
    shutil.rmtree(target, ignore_errors=True)
    try:
        with log.open("wb") as out:
            run = functools.partial(
                subprocess.run,
                check=False,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            if run([sys.executable, "-m", "venv", str(target)]).returncode != 0:
                raise Failed(
                    f"python3 -m venv failed (log: {log.relative_to(ROOT)}).\n"
                    "On Debian and Ubuntu: apt-get install python3-venv"
                )
            python = str(target / "bin" / "python")
            options = ["--disable-pip-version-check", "--no-input", *OPTIONS.get(name, [])]
            pip = run(
                [python, "-m", "pip", "install", *options, "--requirement", str(requirements)]
            )
            if pip.returncode != 0:
                tail = "\n".join(
                    "    " + line for line in log.read_text(errors="replace").splitlines()[-4:]
                )
                raise Failed(
                    f"pip could not install {requirements.relative_to(ROOT)}:\n{tail}\n"
                    "Check the connection to the package index and try again "
                    f"(log: {log.relative_to(ROOT)})."
                )
        stamp.write_text(wanted)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def main() -> int:
    os.umask(0o022)
    try:
        for name in sys.argv[1:]:
            ensure(name)
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; what was half installed is removed", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
