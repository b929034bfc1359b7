#!/usr/bin/env python3
"""Runs a command on its own stack, made for the end-to-end tests.

    python3 tests/e2e/run.py -- cargo test --workspace
    python3 tests/e2e/run.py --prepared -- target/debug/soak
    python3 tests/e2e/run.py --soak target/debug/soak -- cargo test --workspace

The stack differs from that of `make up` in three things:

- a provider whose API the tests script, at MILLRACE_TEST_UPSTREAM
- a name server that the tests run, at MILLRACE_TEST_NAMESERVER
- an enrich function of 30 s (15 s for the soak), so that killed work returns soon; a record still
  has 18 s

With --prepared the command starts the stack itself, with the arguments in MILLRACE_TEST_UP, a JSON
list, after its own servers. The stack's port is MILLRACE_PORT, its settings will be in the file
MILLRACE_ENV_FILE, and its logs stay if the command fails. It also has the providers of
tests/soak/providers.toml.

With --soak a brief soak runs first, on its own stack. After its last fault it mostly waits, and the
command runs beside it.
"""

import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOCAL = ROOT / "infra" / "local"
sys.path.insert(0, str(LOCAL))
from built import debug  # noqa: E402

BUILT = debug(ROOT / "target").resolve()


def free_port(kind: socket.SocketKind) -> int:
    """Returns a port below the range that systems assign by themselves.

    No other process gets it by accident before the tests bind it.
    """
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket(socket.AF_INET, kind) as trial:
            try:
                trial.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def configured(text: str, extra: str) -> str:
    """Returns providers.toml with each `vendor-TYPE` of the tests in the waterfall of its type."""
    for kind in re.findall(r"^\[providers\.vendor-([a-z-]+)\]$", extra, re.MULTILINE):
        head, found, rest = text.partition(f"[types.{kind}]\n")
        block, _, after = rest.partition("\n\n")
        if not found or "waterfall = []" not in block:
            raise SystemExit(
                f"infra/providers.toml: no [types.{kind}] with an empty waterfall "
                "before its first blank line"
            )
        block = block.replace("waterfall = []", f'waterfall = ["vendor-{kind}"]')
        block = re.sub(r"^unconfigured = .*\n?", "", block, flags=re.MULTILINE)
        text = f"{head}{found}{block}\n\n{after}"
    # Every type that ApiOne names has a provider by now: one of its operations gets a type of the
    # tests without a provider.
    if text.count('\nsignals = "signals"\n') != 1:
        raise SystemExit("infra/providers.toml: no single operation `signals` of type `signals`")
    return text.replace('\nsignals = "signals"\n', '\nsignals = "nobodys"\n')


def main() -> int:
    options, separator, command = sys.argv[1:], "", []
    if "--" in options:
        at = options.index("--")
        options, separator, command = options[:at], "--", options[at + 1 :]
    soak = options[1] if options[:1] == ["--soak"] and len(options) == 2 else None
    if not separator or not command or (options and options != ["--prepared"] and not soak):
        print(__doc__, file=sys.stderr)
        return 2
    if not soak:
        return on_a_stack(command, options == ["--prepared"])
    calm, last = threading.Event(), collections.deque(maxlen=80)
    soaking = subprocess.Popen(
        [sys.executable, __file__, "--prepared", "--", soak, "--brief", "--seed", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = threading.Thread(target=follow, args=(soaking.stdout, calm, last))
    said.start()
    calm.wait()
    code = on_a_stack(command, False)
    said.join()
    if soaking.wait() != 0:
        # Repeated here, because the command's output is long.
        print(
            f"The brief soak failed (exit code {soaking.returncode}). Its last lines:",
            *last,
            sep="\n",
            flush=True,
        )
    return soaking.returncode or code


def follow(lines, calm: threading.Event, last: collections.deque) -> None:
    """Passes on the soak's output, and keeps its last lines.

    Sets `calm` when the soak makes no more faults or has ended.
    """
    for line in lines:
        print(f"soak: {line}", end="", flush=True)
        last.append(line.rstrip())
        if "no more faults" in line:
            calm.set()
    calm.set()


def on_a_stack(command: list, prepared: bool) -> int:
    upstream, nameserver = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    own = ROOT / "target" / f"test-{upstream}"
    providers, bundle = own / "providers.toml", own / "bundle"
    own.mkdir(parents=True)
    try:
        extras = [
            HERE / "providers.toml",
            *([HERE.parent / "soak" / "providers.toml"] if prepared else []),
        ]
        extra = "\n".join(extra.read_text() for extra in extras).replace(
            "UPSTREAM_PORT", str(upstream)
        )
        providers.write_text(
            f"{configured((ROOT / 'infra' / 'providers.toml').read_text(), extra)}\n{extra}"
        )
        made = subprocess.run(
            [
                sys.executable,
                str(LOCAL / "bundle.py"),
                str(bundle),
                f"{BUILT}/{{}}",
                "--strip",
                "--providers",
                str(providers),
            ],
            check=False,
        )
        if made.returncode != 0:
            return made.returncode
        environment = {
            **os.environ,
            "MILLRACE_TEST_UPSTREAM": f"127.0.0.1:{upstream}",
            "MILLRACE_TEST_NAMESERVER": f"127.0.0.1:{nameserver}",
        }
        stack = [sys.executable, str(LOCAL / "stack.py"), "--port"]
        settings = [
            "--bundle",
            str(bundle),
            "--parameter",
            f"EnrichTimeout={15 if prepared else 30}",
            "--parameter",
            "TablesBucket=millrace-e2e",
            "--parameter",
            f"Nameserver=127.0.0.1:{nameserver}",
        ]
        if not prepared:
            return run([*stack, "0", "with", *settings, "--", *command], environment)
        port, env_file = free_port(socket.SOCK_STREAM), own / "env"
        up = [*stack, str(port), "up", "--no-tenant", "--env-file", str(env_file), *settings]
        code = None
        try:
            code = run(
                command,
                {
                    **environment,
                    "MILLRACE_TEST_UP": json.dumps(up),
                    "MILLRACE_PORT": str(port),
                    "MILLRACE_ENV_FILE": str(env_file),
                },
            )
        finally:
            stop = [*stack, str(port), "down"]
            down = subprocess.run(stop, check=False, stdout=subprocess.DEVNULL)
            if code == 0 and down.returncode == 0:
                shutil.rmtree(ROOT / ".local" / f"stack-{port}", ignore_errors=True)
        return code
    finally:
        shutil.rmtree(own, ignore_errors=True)


def run(command: list, environment: dict) -> int:
    """Runs a command to its end.

    Ctrl-C reaches it by itself; signals sent only to us are passed on.
    """
    process = subprocess.Popen(command, env=environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: process.send_signal(received))
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
