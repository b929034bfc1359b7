#!/usr/bin/env python3
"""The main job on a stack that is up.

Submits 1,000 records (700 real domains, 280 invented, 20 invalid), receives one verified webhook
and writes a table of results.

`make run` calls it through `stack.py with`, which hands over the stack's settings and stops what it
started.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import built

ROOT = Path(__file__).resolve().parent.parent.parent
INPUT = Path("infra/local/demo/domains-1000.csv")
RESULTS = Path(".local/results.csv")
CLI = os.environ.get("MILLRACE_CLI", str(built.debug(Path("target")) / "millrace"))
WEBHOOK_S = 60


class Failed(Exception):
    pass


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Listener:
    """`millrace listen`, and the lines it has printed."""

    def __init__(self, port: int):
        self.port = port
        self.lines = []
        self.process = subprocess.Popen(
            [CLI, "listen", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_listening(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            time.sleep(0.05)
        raise Failed("millrace listen did not start:\n" + "\n".join(self.lines))

    def wait_verified(self, job: str) -> str:
        deadline = time.monotonic() + WEBHOOK_S
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if "verified" in line and job in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise Failed(
            f"no verified webhook for {job} within {WEBHOOK_S} s; the listener printed:\n"
            + "\n".join(self.lines)
        )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def submit(port: int) -> str:
    """Submits the file, waits for the job and returns its id.

    The progress bar is the CLI's own, on stderr.
    """
    process = subprocess.run(
        [
            CLI,
            "submit",
            str(INPUT),
            "--type",
            "company",
            "--wait",
            "--webhook",
            f"http://127.0.0.1:{port}/webhook",
        ],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(process.stdout, end="", flush=True)
    job = re.search(r"job_[0-9A-HJKMNP-TV-Z]{26}", process.stdout)
    if process.returncode != 0 or not job:
        raise Failed(f"millrace submit ended with code {process.returncode}")
    return job[0]


def fetch(job: str) -> dict:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        f"{os.environ['MILLRACE_URL']}/v1/jobs/{job}",
        headers={"Authorization": f"Bearer {os.environ['MILLRACE_API_KEY']}"},
    )
    with opener.open(request, timeout=30) as response:
        return json.load(response)


def run() -> None:
    begun = time.monotonic()
    listener = Listener(free_port())
    try:
        listener.wait_listening()
        print(f"Submitting {INPUT} …", flush=True)
        job = submit(listener.port)
        done = time.monotonic()
        delivery = listener.wait_verified(job)
        RESULTS.parent.mkdir(exist_ok=True)
        subprocess.run(
            [CLI, "results", job, "--format", "csv", "--output", str(RESULTS)], check=True
        )
        state = fetch(job)
        counts = state["counts"]
        print(
            f"\nJob      {job}: {state['status']} after {done - begun:.1f} s\n"
            f"Records  {counts['total']}: "
            + ", ".join(f"{n} {name}" for name, n in counts.items() if n and name != "total")
            + f"\nCredits  {state['credits']['used']} used, "
            f"the rest of {state['credits']['reserved']} given back"
            f"\nWebhook  {delivery.strip()}"
            f"\nResults  {RESULTS}",
            flush=True,
        )
    finally:
        listener.stop()


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(ROOT)
    try:
        if "MILLRACE_URL" not in os.environ:
            raise Failed(
                "no stack: make run starts one, "
                "or python3 infra/local/stack.py with -- python3 infra/local/demo.py"
            )
        if not INPUT.is_file():
            raise Failed(f"{INPUT} is missing")
        run()
        return 0
    except (Failed, subprocess.CalledProcessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
