#!/usr/bin/env python3
"""Puts the five deployment directories together.

Each has its function's binary as `bootstrap`, and what it reads at start.

    python3 infra/local/bundle.py OUT PATTERN [--strip] [--providers FILE] [--cli MILLRACE]
    python3 infra/local/bundle.py --check [--providers FILE] [--cli MILLRACE]

PATTERN is where the binaries are, with {} for the function's name. providers.toml is checked and
compiled by the command line, a build for this machine; with --check nothing else is done. Standard
library only.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import built

ROOT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS = ("submit", "enrich", "status", "dispatch", "sweep")
# submit prices and checks by the types, status shows them, enrich runs the providers; the others do
# not know them.
WITH_TYPES = ("submit", "status", "enrich")
WITH_TABLES = ("enrich",)
# The output of `millrace providers compile`. A function reads it where it was made
# of the text beside it.
COMPILED = "providers.compiled"


def files_of(provider: dict) -> list[str]:
    """The files that a provider reads: a table, rules, lists of domains, databases of addresses."""
    single = [provider.get(key) for key in ("file", "rules", "disposable", "free")]
    return [file for file in [*single, *provider.get("files", [])] if file is not None]


def missing_files(providers: Path) -> str | None:
    """Returns the fault of the providers' files: only infra/data is deployed. Absolute ones are a
    layer's or a mount's, those of S3 are read from there."""
    for name, provider in tomllib.loads(providers.read_text()).get("providers", {}).items():
        for file in files_of(provider):
            if file.startswith(("/", "s3://")):
                continue
            if not file.startswith("data/"):
                return (
                    f"{providers.name}: providers.{name}: {file!r} is not deployed; "
                    "put it under infra/data, and name it data/…"
                )
            if not (ROOT / "infra" / file).is_file():
                return f"{providers.name}: providers.{name}: infra/{file} is not there"
    return None


def shown(path: Path) -> str:
    """The path as the user would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def compiled(cli: Path, providers: Path, output: Path | None) -> bool:
    """Checks the file, and writes what functions read of it at Init.

    The command line itself says what is wrong.
    """
    if not os.access(cli, os.X_OK):
        print(f"error: {shown(cli)} is missing: build it first (make does)", file=sys.stderr)
        return False
    written = ["--output", str(output)] if output else []
    command = [str(cli), "providers", "compile", shown(providers), *written]
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("pattern", nargs="?")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only say what is wrong with providers.toml and its files",
    )
    parser.add_argument(
        "--cli",
        type=Path,
        default=built.debug(ROOT / "target") / "millrace",
        help="the command line of Millrace",
    )
    parser.add_argument(
        "--strip",
        action="store_true",
        help="leave symbols out of the copies; they are most of a debug build",
    )
    parser.add_argument(
        "--providers",
        type=Path,
        default=ROOT / "infra" / "providers.toml",
        help="another providers.toml",
    )
    options = parser.parse_args()
    if not options.check and options.pattern is None:
        parser.error("OUT and PATTERN are needed, or --check")

    providers, data = options.providers, ROOT / "infra" / "data"
    if not options.check:
        # Made beside the old one and then moved into its place: half a bundle is never seen.
        fresh = options.out.with_name(options.out.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        made = fresh / COMPILED
    if not compiled(options.cli, providers, None if options.check else made):
        return 1
    missing = missing_files(providers)
    if missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    if options.check:
        return 0
    strip = shutil.which("strip") if options.strip else None
    for name in FUNCTIONS:
        binary = Path(options.pattern.format(name))
        if not binary.is_file():
            print(f"error: {binary} is missing: the build did not make it", file=sys.stderr)
            return 1
        directory = fresh / name
        directory.mkdir(parents=True)
        bootstrap = directory / "bootstrap"
        stripping = [strip, "-o", str(bootstrap), str(binary)]
        if not strip or subprocess.run(stripping, check=False).returncode != 0:
            shutil.copyfile(binary, bootstrap)
        bootstrap.chmod(0o755)
        if name in WITH_TYPES:
            shutil.copyfile(providers, directory / "providers.toml")
            shutil.copyfile(made, directory / COMPILED)
            if name in WITH_TABLES and data.is_dir():
                # The scripts that make the tables stay at home.
                shutil.copytree(
                    data,
                    directory / "data",
                    ignore=shutil.ignore_patterns("*.py", "*.md", ".*", "__pycache__"),
                )
        # Times in the zip change its hash, and with it what sam uploads.
        for path in directory.rglob("*"):
            os.utime(path, (946684800, 946684800))
    made.unlink()
    shutil.rmtree(options.out, ignore_errors=True)
    fresh.rename(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
