"""Checks of `make up` before it starts anything, each with advice."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "infra" / "local"))

import stack
from venvs import Failed


def free_port() -> int:
    """A port below those that the system gives to connections.

    Any of them may be taken the moment after.
    """
    for port in random.sample(range(15000, 30000), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.place = Path(folder.name)
        local = mock.patch.object(stack.venvs, "LOCAL", self.place / "local")
        local.start()
        self.addCleanup(local.stop)
        self.options = SimpleNamespace(
            command_name="with",
            no_tenant=False,
            cli=self.place / "millrace",
            bundle=self.place / "bundle",
            env_file=self.place / ".env",
        )
        self.executable(self.options.cli)
        for name in stack.FUNCTIONS:
            self.executable(self.options.bundle / name / "bootstrap")
        self.providers = self.options.bundle / "enrich" / "providers.toml"
        self.providers.write_text("")
        self.port = free_port()

    @staticmethod
    def executable(path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)

    def check(self):
        stack.check(stack.Stack(self.port), self.options)

    def refused(self) -> str:
        with self.assertRaises(Failed) as failed:
            self.check()
        return str(failed.exception)

    def test_everything_is_there(self):
        self.check()

    def test_the_command_line_is_missing(self):
        self.options.cli.unlink()
        self.assertIn("millrace is missing: build it first", self.refused())
        self.options.no_tenant = True
        self.check()

    def test_a_function_is_missing(self):
        for name in stack.FUNCTIONS:
            binary = self.options.bundle / name / "bootstrap"
            binary.unlink()
            self.assertIn(f"{name}/bootstrap is missing: build it first", self.refused())
            self.executable(binary)

    def test_a_function_cannot_be_executed(self):
        (self.options.bundle / "enrich" / "bootstrap").chmod(0o644)
        if os.access(self.options.bundle / "enrich" / "bootstrap", os.X_OK):
            self.skipTest("this user may execute anything")
        self.assertIn("enrich/bootstrap is missing", self.refused())

    def test_a_secret_is_missing(self):
        self.providers.write_text(
            '[providers.a]\nkind = "http"\n'
            'secrets = { a = { env = "OWN_A" }, b = { ssm = "/b" } }\n'
            '[providers.b]\nkind = "chat"\nkey = { env = "OWN_B" }\n'
            '[providers.c]\nkind = "http"\noauth = { client_id = { env = "OWN_C" } }\n'
            'secrets = { t = { env = "MILLRACE_TABLE" } }\n'
        )
        with mock.patch.dict(os.environ, {"OWN_B": "set", "OWN_C": ""}):
            text = self.refused()
            self.assertIn("names the secret OWN_A, OWN_C, which is not in your environment", text)
            self.assertIn("export OWN_A=", text)
        with mock.patch.dict(os.environ, {"OWN_A": "set", "OWN_B": "set", "OWN_C": "set"}):
            self.check()

    def test_the_port_is_taken(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", self.port))
            other.listen()
            text = self.refused()
        self.assertIn(f"port {self.port} is taken", text)
        self.assertIn(f"make up MILLRACE_PORT={self.port + 1}", text)
        self.check()

    def test_the_settings_are_those_of_another_stack(self):
        other = stack.Stack(self.port + 1)
        self.options.env_file.write_text(f"# settings\nAWS_ENDPOINT_URL={other.endpoint}\n")
        # Of one that is not up any more they may be written over.
        self.check()
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, stack.MARK: "of another"},
        )
        try:
            # Until the process itself runs, the system may not show its environment yet.
            process.stdout.readline()
            other.dir.mkdir(parents=True)
            other.state_file.write_text(json.dumps({"token": "of another", "pid": process.pid}))
            text = self.refused()
        finally:
            process.communicate(timeout=60)
        self.assertIn(f"belongs to the stack on port {other.port}, which is up", text)
        self.assertIn(f"make down MILLRACE_PORT={other.port}", text)
        self.check()


if __name__ == "__main__":
    unittest.main()
