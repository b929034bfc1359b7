#!/usr/bin/env python3
"""The local stack: MiniStack on loopback with the real template deployed to it.

    stack.py up | secrets | down | status | pids FUNCTION | logs [FUNCTION]
        | invoke FUNCTION [EVENT.json] | with -- COMMAND …

Several stacks live side by side, distinguished by --port (or MILLRACE_PORT). Everything one of them
writes is under .local/stack-PORT/, but for the environment file that `up` writes for its user.
README.md beside this file says where MiniStack and AWS differ.
"""

import argparse
import contextlib
import fcntl
import json
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import built
import venvs
from venvs import Failed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
STACK = "millrace"
DEFAULT_PORT = 4566
REGION = "us-east-1"
FUNCTIONS = ("submit", "enrich", "status", "dispatch", "sweep")
# MiniStack's root credentials. They open nothing but the stack on this machine.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
# Without it a function reaches no loopback address, whatever is allowed, as on AWS. The template
# cannot set it.
LOCAL = {"MILLRACE_LOCAL": "true"}
# Marks MiniStack and, because they inherit its environment, every function process it starts.
MARK = "LOCAL_STACK_TOKEN"
# Enough for two cores; the template's defaults are meant for AWS.
PARAMETERS = {
    "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
    "AllowedCidrs": "127.0.0.0/8",
    "AllowHttp": "true",
    "EnrichConcurrency": "4",
    "EnrichBulkConcurrency": "4",
    "WebhookConcurrency": "4",
    "WebhookRetryConcurrency": "2",
    "StatusConcurrency": "0",
}
READY_S = 60
DEPLOY_S = 300


def shown(path: Path) -> str:
    """The path as the user would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def say(text: str) -> None:
    print(text, flush=True)


# ---------------------------------------------------------------- processes


def marked(token: str) -> dict:
    """pid → environment of the live processes that carry the token."""
    found = {}
    if Path("/proc/self/environ").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    raw = (entry / "environ").read_bytes()
                    if token.encode() in raw:
                        pairs = (
                            item.partition("=") for item in raw.decode(errors="replace").split("\0")
                        )
                        found[int(entry.name)] = {key: value for key, _, value in pairs}
    else:
        listing = subprocess.run(
            ["ps", "-A", "-E", "-ww", "-o", "pid=,command="],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in listing.stdout.splitlines():
            if token in line:
                pid, *words = line.split()
                found[int(pid)] = dict(word.split("=", 1) for word in words if "=" in word)
    found = {pid: env for pid, env in found.items() if env.get(MARK) == token}
    found.pop(os.getpid(), None)
    return found


def end(token: str) -> None:
    """Ends the stack's processes, MiniStack politely first, and returns when none is left."""
    if not token:
        return
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + patience
        for pid, env in marked(token).items():
            # The functions end with MiniStack; if they ended first, it would start them again.
            if number == signal.SIGKILL or "AWS_LAMBDA_FUNCTION_NAME" not in env:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        while time.monotonic() < deadline:
            left = marked(token)
            if not left:
                return
            if number == signal.SIGTERM and all(
                "AWS_LAMBDA_FUNCTION_NAME" in env for env in left.values()
            ):
                break
            time.sleep(0.05)
    if marked(token):
        raise Failed(f"these processes of the stack did not end: {sorted(marked(token))}")


# ---------------------------------------------------------------- one stack


class Stack:
    def __init__(self, port: int):
        self.port = port
        self.dir = venvs.LOCAL / f"stack-{port}"
        self.state_file = self.dir / "state.json"
        self.log = self.dir / "ministack.log"
        self.deploy_log = self.dir / "deploy.log"
        self.endpoint = f"http://127.0.0.1:{port}"

    def state(self) -> dict:
        try:
            return json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return {}

    def save(self, **fields) -> dict:
        state = {**self.state(), **fields}
        partial = self.state_file.with_suffix(".new")
        partial.write_text(json.dumps(state, indent=1))
        partial.replace(self.state_file)
        return state

    def alive(self) -> bool:
        """Returns whether this stack's MiniStack runs; a reused pid does not count."""
        state = self.state()
        return bool(state.get("token")) and state.get("pid") in marked(state["token"])

    def up(self) -> bool:
        return self.alive() and bool(self.state().get("url"))

    @contextlib.contextmanager
    def lock(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        with (self.dir / "lock").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Failed(
                    f"another command is starting or stopping the stack on port {self.port}; "
                    "wait for it and try again"
                ) from None
            yield

    def environment(self) -> dict:
        """For programs that talk to this stack: its endpoint and credentials.

        Nothing of the user's own AWS set-up is in it.
        """
        env = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_"))
        }
        return {
            **env,
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "__SAM_CLI_APP_DIR": str(venvs.LOCAL / "sam"),
        }

    def client(self, service: str):
        import boto3
        from botocore.config import Config

        return boto3.session.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            region_name=REGION,
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        ).client(
            service,
            endpoint_url=self.endpoint,
            config=Config(proxies={}, read_timeout=920, retries={"total_max_attempts": 1}),
        )


def get(url: str, timeout: float) -> int:
    """Returns the status of a GET, past any proxy; 0 without an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def tail(path: Path, lines: int) -> str:
    try:
        text = path.read_text(errors="replace").rstrip().splitlines()
    except OSError:
        return ""
    return "\n".join("    " + line for line in text[-lines:])


# ---------------------------------------------------------------- up


def of(stack: Stack) -> str:
    """Returns the arguments that direct a make command to this stack."""
    return "" if stack.port == DEFAULT_PORT else f" MILLRACE_PORT={stack.port}"


def elsewhere(stack: Stack) -> str:
    """Names the other stacks of this checkout, if any."""
    ports = [path.name.removeprefix("stack-") for path in venvs.LOCAL.glob("stack-*")]
    stacks = [
        Stack(int(port)) for port in sorted(ports) if port.isdigit() and int(port) != stack.port
    ]
    up = [f"MILLRACE_PORT={other.port}" for other in stacks if other.up()]
    return f" Another one is: name it by {' or '.join(up)}." if up else ""


def check(stack: Stack, options) -> None:
    """Fails early on faults that show before anything is started."""
    if not options.no_tenant and not os.access(options.cli, os.X_OK):
        raise Failed(f"{shown(options.cli)} is missing: build it first (make up does)")
    for name in FUNCTIONS:
        if not os.access(options.bundle / name / "bootstrap", os.X_OK):
            raise Failed(
                f"{shown(options.bundle / name)}/bootstrap is missing: "
                "build it first (make up does)"
            )
    check_secrets(options.bundle / "enrich" / "providers.toml")
    source, bundled = (
        ROOT / "infra" / "providers.toml",
        options.bundle / "enrich" / "providers.toml",
    )
    if options.command_name == "up" and source.read_bytes() != bundled.read_bytes():
        print(
            f"note: {shown(source)} differs from what the bundle has, which is what is deployed; "
            "`make up` makes it anew",
            file=sys.stderr,
        )
    if options.env_file.exists():
        written = dict(
            line.split("=", 1) for line in options.env_file.read_text().splitlines() if "=" in line
        )
        other = written.get("AWS_ENDPOINT_URL", "").rpartition(":")[2]
        if other.isdigit() and int(other) != stack.port and Stack(int(other)).alive():
            raise Failed(
                f"{shown(options.env_file)} belongs to the stack on port {other}, which is up.\n"
                f"Stop it (make down MILLRACE_PORT={other}) or give this one its own --env-file."
            )
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", stack.port))
        except OSError as error:
            raise Failed(
                f"port {stack.port} is taken ({error.strerror}). "
                "Stop what listens there, or use another port: "
                f"make up MILLRACE_PORT={stack.port + 1}"
            ) from None


def start_ministack(stack: Stack, functions_endpoint: str) -> None:
    token = secrets.token_hex(16)
    temporary = stack.dir / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    # Written out rather than inherited, because every function sees it: on AWS they would not see
    # the user's shell either.
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(temporary),
        "LANG": "C.UTF-8",
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(stack.port),
        "MINISTACK_REGION": REGION,
        # Only the functions read these two.
        "AWS_ENDPOINT_URL": functions_endpoint,
        **LOCAL,
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        MARK: token,
    }
    stack.save(token=token, started=time.time())
    with stack.log.open("wb") as out:
        process = subprocess.Popen(
            [str(venvs.path("ministack") / "bin" / "ministack")],
            env=environment,
            cwd=temporary,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stack.save(pid=process.pid)
    deadline = time.monotonic() + READY_S
    while get(f"{stack.endpoint}/_ministack/ready", 2) != 200:
        if process.poll() is not None:
            raise Failed(
                f"MiniStack ended while it started (log: {shown(stack.log)}):\n{tail(stack.log, 5)}"
            )
        if time.monotonic() > deadline:
            raise Failed(
                f"MiniStack was not ready after {READY_S} s (log: {shown(stack.log)}):\n"
                f"{tail(stack.log, 5)}"
            )
        time.sleep(0.1)


def provider_secrets(file: Path) -> list:
    """The environment variables that providers take their secrets from, and the user has to set."""
    providers = tomllib.loads(file.read_text()).get("providers", {}).values()
    references = [
        secret for provider in providers for secret in provider.get("secrets", {}).values()
    ]
    references += [
        provider["key"]
        for provider in providers
        if provider.get("kind") == "chat" and "key" in provider
    ]
    references += [
        secret for provider in providers for secret in provider.get("oauth", {}).values()
    ]
    named = sorted(
        {secret["env"] for secret in references if isinstance(secret, dict) and "env" in secret}
    )
    # Those that the template itself sets are left to it, and those that Lambda sets to Lambda.
    template = TEMPLATE.read_text()
    return [
        name
        for name in named
        if not re.search(rf"^ +{re.escape(name)}:", template, re.M)
        and not name.startswith("AWS_LAMBDA_")
    ]


def check_secrets(file: Path) -> list:
    """The same list, when each of them is set."""
    secrets = provider_secrets(file)
    missing = [name for name in secrets if not os.environ.get(name)]
    if missing:
        raise Failed(
            f"{shown(file)} names the secret {', '.join(missing)}, "
            "which is not in your environment.\n"
            f"Set it and start again: export {missing[0]}=…"
        )
    return secrets


def local_template(stack: Stack, bundle: Path, parameters: dict) -> Path:
    """The real template with three things written into it that parameters cannot bring there.

    The bundle's directory, which sam reads before parameters. It is a changed copy, and not a link
    put at target/bundle, so that a debug build can never be what `make deploy` finds there. And
    MaximumConcurrency: MiniStack compares it with a number, and a parameter reaches it as text. And
    sqs:SendMessageBatch: on AWS sqs:SendMessage permits the batch call and has no other
    action; MiniStack asks for one named after the call.
    """
    text = TEMPLATE.read_text()

    def put(shipped: str, here: str) -> None:
        nonlocal text
        if text.count(shipped) != 1:
            raise Failed(
                f"infra/template.yaml should say '{shipped}' once; infra/local/stack.py replaces it"
            )
        text = text.replace(shipped, here)

    for name in FUNCTIONS:
        put(f"CodeUri: ../target/bundle/{name}/", f"CodeUri: {json.dumps(str(bundle / name))}")
    for name in (
        "EnrichConcurrency",
        "EnrichBulkConcurrency",
        "WebhookConcurrency",
        "WebhookRetryConcurrency",
    ):
        put(
            f"MaximumConcurrency: !If [IsSmall, 2, !Ref {name}] ",
            f"MaximumConcurrency: {int(parameters[name])} ",
        )
    text = re.sub(
        r"Action: sqs:SendMessage$",
        "Action: [sqs:SendMessage, sqs:SendMessageBatch]",
        text,
        flags=re.M,
    )
    text = re.sub(
        r"^( *)- sqs:SendMessage$",
        r"\1- sqs:SendMessage\n\1- sqs:SendMessageBatch",
        text,
        flags=re.M,
    )
    secrets = check_secrets(bundle / "enrich" / "providers.toml")
    marker = "          # Secrets of providers.toml, a line each,"
    given = "".join(f"          {name}: {json.dumps(os.environ[name])}\n" for name in secrets)
    put(marker, given + marker)
    path = stack.dir / "template.yaml"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def run_quietly(command: list, log: Path, env: dict, timeout: float) -> int:
    """Runs a command into a log.

    Ends it with all its children if we are interrupted or it takes too long.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(
                    f"{Path(command[0]).name} took more than {timeout:.0f} s (log: {shown(log)}):\n"
                    f"{tail(log, 5)}"
                ) from None
            raise


def deploy(stack: Stack, bundle: Path, parameters: dict) -> dict:
    """Deploys the template and returns its outputs."""
    code = run_quietly(
        [
            str(venvs.path("tools") / "bin" / "sam"),
            "deploy",
            "--template-file",
            str(local_template(stack, bundle, parameters)),
            "--stack-name",
            STACK,
            "--region",
            REGION,
            "--resolve-s3",
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
            "--no-progressbar",
            "--parameter-overrides",
            *(f"{key}={value}" for key, value in parameters.items()),
        ],
        stack.deploy_log,
        {**stack.environment(), MARK: stack.state()["token"]},
        DEPLOY_S,
    )
    cloudformation = stack.client("cloudformation")
    if code != 0:
        reasons = tail(stack.deploy_log, 1)
        with contextlib.suppress(Exception):
            events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
            failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
            reasons += "".join(
                f"\n    {event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
                for event in failed
            )
        raise Failed(f"sam deploy failed (all of it: {shown(stack.deploy_log)}):\n{reasons}")
    described = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    return {item["OutputKey"]: item["OutputValue"] for item in described["Outputs"]}


def function_settings(stack: Stack) -> dict:
    """Returns the settings that the template gives the functions, all together.

    With them a function can be run by hand on this stack.
    """
    client = stack.client("lambda")
    settings = {}
    for name in FUNCTIONS:
        given = client.get_function_configuration(FunctionName=f"{STACK}-{name}")["Environment"][
            "Variables"
        ]
        # What is empty for one may be set for another.
        settings.update({key: value for key, value in given.items() if value})
    return dict(sorted(settings.items()))


def tell_public_url(stack: Stack, url: str) -> None:
    """Tells enrich where upstreams can post.

    On AWS the template knows; here the API's address shows after the deployment.
    """
    client = stack.client("lambda")
    name = f"{STACK}-enrich"
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**variables, "MILLRACE_PUBLIC_URL": url}}
    )


def create_tenant(stack: Stack, cli: Path, table: str) -> dict:
    done = subprocess.run(
        [str(cli), "tenants", "create", "demo", "--credits", "1000000", "--json"],
        check=False,
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        env={**stack.environment(), "MILLRACE_TABLE": table},
    )
    try:
        answer = json.loads(done.stdout)
        return {
            "MILLRACE_TENANT": answer["tenant"],
            "MILLRACE_API_KEY": answer["api_key"],
            "MILLRACE_WEBHOOK_SECRET": answer["webhook_secret"],
        }
    except (ValueError, KeyError, TypeError):
        raise Failed(
            f"{shown(cli)} tenants create failed with code {done.returncode}:\n"
            f"{(done.stderr or done.stdout).strip()}"
        ) from None


def write_env(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.writelines(f"{key}={value}\n" for key, value in values.items())


def up(stack: Stack, options) -> None:
    with stack.lock():
        if stack.up():
            say(
                f"Already up: {stack.state()['url']} "
                f"(settings in {shown(Path(stack.state()['env_file']))}). "
                "It runs what there was when it started. "
                "Changes of code and of providers.toml are loaded by "
                f"make down{of(stack)}, then make up{of(stack)}."
            )
            return
        tear_down(stack)
        check(stack, options)
        begun = time.monotonic()
        try:
            stack.save(env_file=str(options.env_file))
            say(f"Starting MiniStack on 127.0.0.1:{stack.port} …")
            start_ministack(stack, options.functions_endpoint or stack.endpoint)
            say("Deploying infra/template.yaml with sam …")
            outputs = deploy(stack, options.bundle, {**PARAMETERS, **dict(options.parameter)})
            # The stage is $default, so that a path needs no stage in it, on AWS as here.
            url = f"{stack.endpoint}/_aws/execute-api/{outputs['ApiId']}"
            tell_public_url(stack, url)
            status = get(f"{url}/v1/account", 40)
            if not 200 <= status < 500:
                raise Failed(
                    f"the API answers {status or 'nothing'} to GET /v1/account "
                    f"(log: {shown(stack.log)}):\n{tail(stack.log, 2)}"
                )
            starts(stack)
            values = {
                "MILLRACE_URL": url,
                "MILLRACE_TABLE": outputs["TableName"],
                "AWS_ENDPOINT_URL": stack.endpoint,
                **LOCAL,
                **CREDENTIALS,
                **function_settings(stack),
            }
            if not options.no_tenant:
                say("Creating the tenant demo …")
                values.update(create_tenant(stack, options.cli, outputs["TableName"]))
            write_env(options.env_file, values)
            stack.save(url=url, outputs=outputs)
        except BaseException:
            with uninterrupted():
                tear_down(stack)
            raise
    say(
        f"Up after {time.monotonic() - begun:.0f} s: {url}\n"
        f"Settings in {shown(options.env_file)}; "
        f"logs by make logs{of(stack)}; stop it by make down{of(stack)}"
    )
    # `with` hands them over itself.
    if options.command_name == "up":
        say(
            "URL and key are new. "
            "A shell that has those of an earlier stack must read them again:\n"
            f"    set -a; . {shown(options.env_file)}; set +a"
        )


# ---------------------------------------------------------------- down


def tear_down(stack: Stack) -> bool:
    """Ends what runs and removes its data, but not the logs. True if there was anything."""
    state = stack.state()
    if not state:
        return False
    if stack.up():
        with contextlib.suppress(Exception):
            save_function_logs(stack)
    end(state.get("token", ""))
    env_file = Path(state.get("env_file", ""))
    with contextlib.suppress(OSError):
        if f"AWS_ENDPOINT_URL={stack.endpoint}\n" in env_file.read_text():
            env_file.unlink()
    shutil.rmtree(stack.dir / "tmp", ignore_errors=True)
    (stack.dir / "template.yaml").unlink(missing_ok=True)
    stack.state_file.unlink(missing_ok=True)
    return True


def down(stack: Stack, keep_logs: bool = True) -> None:
    with stack.lock(), uninterrupted():
        if not tear_down(stack):
            say(f"No stack is up on port {stack.port}.{elsewhere(stack)}")
            return
        if not keep_logs:
            shutil.rmtree(stack.dir)
        say(
            f"Stopped the stack on port {stack.port}."
            + (f" Its logs stay in {shown(stack.dir)}." if keep_logs else "")
        )


@contextlib.contextmanager
def uninterrupted():
    """A second Ctrl-C must not leave half of it behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


# ---------------------------------------------------------------- looking in


def need_up(stack: Stack) -> dict:
    if not stack.up():
        raise Failed(f"no stack is up on port {stack.port}: make up{of(stack)}.{elsewhere(stack)}")
    return stack.state()


def status(stack: Stack) -> int:
    if not stack.up():
        say(f"down (port {stack.port})")
        return 3
    state = stack.state()
    say(f"up at {state['url']} (settings in {shown(Path(state['env_file']))})")
    for name in FUNCTIONS:
        say(f"  {name:9} pids {' '.join(map(str, pids(stack, name))) or 'none yet'}")
    return 0


def pids(stack: Stack, function: str) -> list:
    """The function's execution environments.

    Each is one process and runs one invocation at a time.
    """
    name = f"{STACK}-{function}"
    return sorted(
        pid
        for pid, env in marked(need_up(stack)["token"]).items()
        if env.get("AWS_LAMBDA_FUNCTION_NAME") == name
    )


def function_log(stack: Stack, function: str, since_ms: int = 0):
    """Yields (time in ms, line) of the function's log group from that time on."""
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=f"/aws/lambda/{STACK}-{function}", startTime=since_ms)
    )
    events = [
        (event["timestamp"], event["message"].rstrip())
        for page in pages
        for event in page["events"]
    ]
    return sorted(events, key=lambda event: event[0])


def save_function_logs(stack: Stack) -> None:
    folder = stack.dir / "functions"
    folder.mkdir(exist_ok=True)
    for name in FUNCTIONS:
        (folder / f"{name}.log").write_text(
            "".join(f"{line}\n" for _, line in function_log(stack, name))
        )


def logs(stack: Stack, functions: list, follow: bool) -> None:
    need_up(stack)
    seen = dict.fromkeys(functions, (0, 0))
    while True:
        for name in functions:
            since, count = seen[name]
            events = function_log(stack, name, since)
            for _, line in events[count:]:
                say(f"{name}: {line}")
            if events:
                last = events[-1][0]
                seen[name] = (last, sum(1 for event in events if event[0] == last))
        if not follow:
            return
        time.sleep(1)


def starts(stack: Stack) -> None:
    """Starts the enrich function once.

    A table or a secret that it lacks would else show only as jobs that stay queued.
    """
    answer = stack.client("lambda").invoke(
        FunctionName=f"{STACK}-enrich", Payload=b'{"Records": []}'
    )
    if "FunctionError" not in answer:
        return
    said = [
        line
        for line in stack.log.read_text(errors="replace").splitlines()
        if "the function cannot start" in line
    ]
    reason = (
        re.search(r'"error":"((?:[^"\\]|\\.)*)"', said[-1].replace('\\\\"', '"')) if said else None
    )
    raise Failed(
        f"the enrich function does not start (log: {shown(stack.log)}):\n"
        f"{reason.group(1) if reason else answer['Payload'].read().decode()}"
    )


def invoke(stack: Stack, function: str, event) -> None:
    need_up(stack)
    text = event.read() if event else "{}"
    answer = stack.client("lambda").invoke(
        FunctionName=f"{STACK}-{function}", Payload=text.encode()
    )
    say(answer["Payload"].read().decode())
    if "FunctionError" in answer:
        raise Failed(f"{function} failed ({answer['FunctionError']}); see make logs")


def with_stack(stack: Stack, options) -> int:
    """Runs a command with the stack's settings in its environment.

    Stops the stack afterwards if it was not up before.
    """
    if stack.port == 0:
        # Between this and MiniStack's bind somebody else may take it; then `up` says so.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            stack = Stack(listener.getsockname()[1])
        options.env_file = stack.dir / "env"
    was_up = stack.up()
    up(stack, options)
    code = None
    try:
        env_file = Path(stack.state()["env_file"])
        values = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
        command = options.command[1:] if options.command[:1] == ["--"] else options.command
        process = subprocess.Popen(
            command,
            env={
                **stack.environment(),
                **values,
                "MILLRACE_PORT": str(stack.port),
                "MILLRACE_ENV_FILE": str(env_file),
            },
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            raise
    except OSError as error:
        raise Failed(f"cannot run {options.command}: {error}") from None
    finally:
        if not was_up:
            down(stack, keep_logs=options.port != 0 or code != 0)
    return code


# ---------------------------------------------------------------- command line


def parameter(text: str):
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("must be Name=value")
    return key, value


def port_number(text: str) -> int:
    if text.isdigit() and (text == "0" or 1024 <= int(text) <= 65535):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a port from 1024 to 65535 (--port or MILLRACE_PORT)"
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--port",
        help="of MiniStack; for `with`, 0 takes a free one and keeps its settings out of the way",
        type=port_number,
        default=os.environ.get("MILLRACE_PORT") or str(DEFAULT_PORT),
    )
    commands = parser.add_subparsers(dest="command_name", required=True)

    starting = argparse.ArgumentParser(add_help=False)
    starting.add_argument(
        "--env-file", type=Path, default=HERE / ".env", help="where to write the stack's settings"
    )
    starting.add_argument("--bundle", type=Path, default=ROOT / "target" / "bundle-local")
    starting.add_argument("--cli", type=Path, default=built.debug(ROOT / "target") / "millrace")
    starting.add_argument(
        "--parameter",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template",
    )
    starting.add_argument(
        "--functions-endpoint",
        metavar="URL",
        help="where the functions find the AWS services, if not at MiniStack itself: "
        "a proxy before it",
    )
    starting.add_argument("--no-tenant", action="store_true", help="do not create the tenant demo")

    commands.add_parser("up", parents=[starting], help="start and deploy")
    commands.add_parser(
        "secrets",
        help="whether the secrets that infra/providers.toml names are set, where no stack is up",
    )
    commands.add_parser("down", help="stop, and leave nothing running")
    commands.add_parser("status", help="exit code 0 if up, 3 if not")
    commands.add_parser("pids", help="process ids of a function").add_argument(
        "function", choices=FUNCTIONS
    )
    looking = commands.add_parser(
        "logs", help="what the functions logged (a line appears when its invocation is over)"
    )
    looking.add_argument("function", nargs="?", choices=FUNCTIONS)
    looking.add_argument("--follow", "-f", action="store_true")
    calling = commands.add_parser("invoke", help="call a function and wait for its answer")
    calling.add_argument("function", choices=FUNCTIONS)
    calling.add_argument("event", nargs="?", type=argparse.FileType("r"))
    running = commands.add_parser("with", parents=[starting], help="run a command on a stack")
    running.add_argument("command", nargs=argparse.REMAINDER)

    options = parser.parse_args()
    for name in ("env_file", "bundle", "cli"):
        if hasattr(options, name):
            setattr(options, name, getattr(options, name).resolve())
    return options


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    options = arguments()
    try:
        if options.command_name in ("up", "with"):
            venvs.ensure("ministack")
            venvs.ensure("tools")
        python = venvs.path("tools") / "bin" / "python"
        if python.exists() and Path(sys.prefix).resolve() != python.parent.parent.resolve():
            os.execv(python, [str(python), str(HERE / "stack.py"), *sys.argv[1:]])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupted)

        stack = Stack(options.port)
        if stack.port == 0 and options.command_name != "with":
            raise Failed("port 0 is for `with` alone")
        if options.command_name == "up":
            up(stack, options)
        elif options.command_name == "secrets":
            if not stack.up():
                check_secrets(ROOT / "infra" / "providers.toml")
        elif options.command_name == "down":
            down(stack)
        elif options.command_name == "status":
            return status(stack)
        elif options.command_name == "pids":
            say("\n".join(map(str, pids(stack, options.function))))
        elif options.command_name == "logs":
            logs(stack, [options.function] if options.function else list(FUNCTIONS), options.follow)
        elif options.command_name == "invoke":
            invoke(stack, options.function, options.event)
        elif options.command_name == "with":
            return with_stack(stack, options)
        return 0
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "error: interrupted"
            + ("; nothing is left running" if options.command_name == "up" else ""),
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
