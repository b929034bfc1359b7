#!/usr/bin/env python3
"""Puts the five deployment directories together: each function's binary as `bootstrap`, and what it reads at start.

    python3 infra/local/bundle.py OUT PATTERN [--strip] [--providers FILE]

PATTERN is where the binaries are, with {} for the function's name. Standard library only.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS = ("submit", "enrich", "status", "dispatch", "sweep")
# submit prices and checks by the types, status shows them, enrich runs the providers; the others do not know them.
WITH_TYPES = ("submit", "status", "enrich")
WITH_TABLES = ("enrich",)


def files_of(provider: dict) -> list[str]:
    """The files that a provider reads: a table, rules, lists of domains, databases of addresses."""
    single = [provider.get(key) for key in ("file", "rules", "disposable", "free")]
    return [file for file in [*single, *provider.get("files", [])] if file is not None]


def missing_files(providers: Path) -> str | None:
    """What is wrong with the files of the providers: only infra/data is deployed. Absolute ones are a layer's or a mount's,
    those of S3 are read from there."""
    if not providers.is_file():
        return None
    for name, provider in tomllib.loads(providers.read_text()).get("providers", {}).items():
        for file in files_of(provider):
            if file.startswith(("/", "s3://")):
                continue
            if not file.startswith("data/"):
                return f"{providers.name}: providers.{name}: {file!r} is not deployed; put it under infra/data, and name it data/…"
            if not (ROOT / "infra" / file).is_file():
                return f"{providers.name}: providers.{name}: infra/{file} is not there"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("pattern")
    parser.add_argument("--strip", action="store_true", help="leave symbols out of the copies; they are most of a debug build")
    parser.add_argument("--providers", type=Path, default=ROOT / "infra" / "providers.toml", help="another providers.toml")
    options = parser.parse_args()

    providers, data = options.providers, ROOT / "infra" / "data"
    missing = missing_files(providers)
    if missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    strip = shutil.which("strip") if options.strip else None
    # Made beside the old one and then put in its place, so that nobody ever sees half a bundle.
    fresh = options.out.with_name(options.out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in FUNCTIONS:
        binary = Path(options.pattern.format(name))
        if not binary.is_file():
            print(f"error: {binary} is missing: the build did not make it", file=sys.stderr)
            return 1
        directory = fresh / name
        directory.mkdir(parents=True)
        bootstrap = directory / "bootstrap"
        if not (strip and subprocess.run([strip, "-o", str(bootstrap), str(binary)]).returncode == 0):
            shutil.copyfile(binary, bootstrap)
        bootstrap.chmod(0o755)
        if name in WITH_TYPES:
            if not providers.is_file():
                print(f"error: {providers} is missing", file=sys.stderr)
                return 1
            shutil.copyfile(providers, directory / "providers.toml")
            if name in WITH_TABLES and data.is_dir():
                # The scripts that make the tables stay at home.
                shutil.copytree(data, directory / "data", ignore=shutil.ignore_patterns("*.py", "*.md", ".*", "__pycache__"))
        # Times in the zip change its hash, and with it what sam uploads.
        for path in directory.rglob("*"):
            os.utime(path, (946684800, 946684800))
    shutil.rmtree(options.out, ignore_errors=True)
    fresh.rename(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
