#!/usr/bin/env python3
"""Runs a command on a stack of its own that is made for the end-to-end tests.

    python3 tests/e2e/run.py [--port N] -- cargo test --workspace

The stack differs from the one of `make up` in three things that are fixed when it starts: a provider whose API the tests
script, a name server that they are, and an enrich function of 15 s, so that what is killed comes back within a test's
patience. The command is told where the two are expected, MILLRACE_TEST_UPSTREAM and MILLRACE_TEST_NAMESERVER.
"""

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOCAL = ROOT / "infra" / "local"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def free_port(kind: socket.SocketKind, but: tuple = ()) -> int:
    """A port below the range that systems give out by themselves: nobody gets it by accident until the tests take it."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in but:
            return port


def main() -> int:
    arguments = sys.argv[1:]
    if "--" not in arguments:
        print(__doc__, file=sys.stderr)
        return 2
    cut = arguments.index("--")
    options, command = arguments[:cut], arguments[cut + 1:]

    upstream = free_port(socket.SOCK_STREAM)
    nameserver = free_port(socket.SOCK_DGRAM)
    stack_port = free_port(socket.SOCK_STREAM, (upstream,))
    providers = ROOT / "target" / f"providers-{upstream}.toml"
    bundle = ROOT / "target" / f"bundle-test-{upstream}"
    providers.parent.mkdir(exist_ok=True)
    try:
        extra = (HERE / "providers.toml").read_text().replace("UPSTREAM_PORT", str(upstream))
        providers.write_text(f"{(ROOT / 'infra' / 'providers.toml').read_text()}\n{extra}")
        made = subprocess.run([sys.executable, str(LOCAL / "bundle.py"), str(bundle), f"{TARGET}/debug/{{}}", "--strip",
                               "--providers", str(providers)])
        if made.returncode != 0:
            return made.returncode
        stack = [sys.executable, str(LOCAL / "stack.py"), *(options or ["--port", str(stack_port)]), "with",
                 "--env-file", str(ROOT / ".local" / f"stack-{upstream}.env"), "--bundle", str(bundle),
                 "--parameter", "EnrichTimeout=15", "--parameter", f"Nameserver=127.0.0.1:{nameserver}"]
        environment = {**os.environ, "MILLRACE_TEST_UPSTREAM": f"127.0.0.1:{upstream}",
                       "MILLRACE_TEST_NAMESERVER": f"127.0.0.1:{nameserver}"}
        process = subprocess.Popen([*stack, "--", *command], env=environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The stack got it too, and stops what it started.
                continue
    finally:
        providers.unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", str(bundle)])


if __name__ == "__main__":
    sys.exit(main())
