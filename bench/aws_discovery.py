"""What reading 500 IAM principals costs: requests a principal, CPU seconds, time to the first record.

    python -m bench.aws_discovery [--principals 500] [--prowler PATH_OF_ITS_PYTHON]

Both readers ask the same moto account, each in a process of its own, through a proxy that counts requests. Without
--prowler its row says "not run". CPU is the reader's own; moto runs elsewhere. Figures are of one run, not a limit.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.harness import process

READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
REQUESTS_A_PRINCIPAL = 0.05
FIRST_FINDING_S = 120
PROWLER = """
import json
from prowler.providers.aws.aws_provider import AwsProvider
from prowler.providers.common.provider import Provider
from prowler.providers.common.models import Audit_Metadata
provider = AwsProvider(regions={"us-east-1"})
provider.audit_metadata = Audit_Metadata(
    services_scanned=0, expected_checks=["iam_rotate_access_key_90_days"], completed_checks=0, audit_progress=0
)
Provider.set_global_provider(provider)
from prowler.providers.aws.services.iam.iam_service import IAM
iam = IAM(provider)
print(json.dumps({"principals": len(iam.users) + len(iam.roles or [])}))
"""


class Counting:
    """A loopback proxy to moto that counts requests."""

    def __init__(self, target: str) -> None:
        self.requests = 0
        counting = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                counting.requests += 1
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                request = urllib.request.Request(target + self.path, body or None, headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=120) as answer:
                        status, content, kind = answer.status, answer.read(), answer.headers.get("content-type", "")
                except urllib.error.HTTPError as error:
                    status, content, kind = error.code, error.read(), error.headers.get("content-type", "")
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_HEAD = _pass_on  # noqa: N815 - http.server's own names

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def fill(url: str, principals: int) -> None:
    import botocore.session

    iam = botocore.session.Session().create_client("iam", region_name="us-east-1", endpoint_url=url)
    policy = iam.create_policy(PolicyName="reader", PolicyDocument=json.dumps(READ))["Policy"]["Arn"]
    for number in range(principals // 2):
        iam.create_user(UserName=f"user-{number}")
        iam.attach_user_policy(UserName=f"user-{number}", PolicyArn=policy)
        if number % 2:
            iam.create_access_key(UserName=f"user-{number}")
        iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.attach_role_policy(RoleName=f"role-{number}", PolicyArn=policy)


def read_ours(url: str) -> None:
    """Runs in a process of its own; prints one JSON line."""
    from wardship.connectors.aws import connect
    from wardship.model.identity import Identity
    from wardship.sdk.connector import Connection

    began, first, principals = time.monotonic(), None, 0
    settings = {"endpoint_url": url, "regions": "us-east-1"}
    connector = connect(Connection(name="bench", connector="aws", settings=settings, clock=lambda: datetime.now(UTC)))
    for scope in connector.scopes():
        if not scope.kind.startswith(("iam.", "account")):
            continue
        for page in connector.fetch(scope, None):
            for item in page.items:
                for record in connector.parse(scope, item):
                    first = first or time.monotonic() - began
                    principals += isinstance(record, Identity) and record.subtype in ("user", "role")
    print(json.dumps({"first_s": first, "principals": principals}))


def measure(command: list[str], url: str) -> tuple[dict[str, Any] | None, int, str]:
    proxy = Counting(url)
    env = {"AWS_ENDPOINT_URL": proxy.url, "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        cost = process([proxy.url if part == "URL" else part for part in command], env=env)
        line = next(line for line in reversed(cost.output.splitlines()) if line.startswith("{"))
    except (RuntimeError, StopIteration) as error:
        return None, proxy.requests, (str(error).strip().splitlines() or ["no output"])[-1]
    return {**json.loads(line), "cpu_s": cost.cpu_s}, proxy.requests, ""


def first_finding_s(url: str) -> float | None:
    """Seconds of wall time until `wardship scan aws`, in an empty folder, shows its first finding; None: never."""
    env = {**os.environ, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", "WARDSHIP_LANGUAGE": "en"}
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "wardship", "scan", "aws"]
        with subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as scan:
            found = [time.monotonic() - began for line in scan.stdout or () if line.startswith("  ! ")]
    return found[0] if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--principals", type=int, default=500)
    parser.add_argument("--prowler", help="a Python that has prowler")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        read_ours(chosen.read)
    else:
        run(chosen.principals, chosen.prowler or "")


def run(principals: int = 500, prowler: str | None = None) -> None:
    """`prowler`: a Python that has prowler; None: what WARDSHIP_BENCH_PROWLER names, "": none."""
    prowler = os.environ.get("WARDSHIP_BENCH_PROWLER", "") if prowler is None else prowler
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    url = "http://{}:{}".format(*moto.get_host_and_port())
    fill(url, principals)
    print(f"{'reader':22}{'principals':>11}{'requests':>10}{'a principal':>13}{'CPU s':>8}{'first record s':>16}")
    cpu: dict[str, float] = {}
    limit = "not measured"
    rows = [("wardship (IAM part)", [sys.executable, "-m", "bench.aws_discovery", "--read", "URL"])]
    rows += [("prowler (IAM service)", [prowler, "-c", PROWLER])] if prowler else []
    for name, command in rows:
        figures, requests, why = measure(command, url)
        if figures is None:
            print(f"{name:22}not run: {why}")
            continue
        first = f"{figures['first_s']:.2f}" if figures.get("first_s") else "-"
        each = requests / principals
        cpu[name.split()[0]] = figures["cpu_s"]
        if name.startswith("wardship"):
            limit = "kept" if each <= REQUESTS_A_PRINCIPAL else "BROKEN"
        print(f"{name:22}{figures['principals']:11}{requests:10}{each:13.3f}{figures['cpu_s']:8.2f}{first:>16}")
    print(f"limit: {REQUESTS_A_PRINCIPAL} requests a principal, {limit}")
    if len(cpu) == 2:
        print(f"prowler takes {cpu['prowler'] / cpu['wardship']:.1f} times our CPU, start-up included")
    first_s = first_finding_s(url)
    kept = first_s is not None and first_s <= FIRST_FINDING_S
    shown = "never" if first_s is None else f"after {first_s:.1f} s"
    print(f"`wardship scan aws`: first finding {shown}; limit {FIRST_FINDING_S} s, {'kept' if kept else 'BROKEN'}")
    if not prowler:
        print(f"{'prowler (IAM service)':22}not run: give --prowler the Python of an environment that has it")
    moto.stop()


if __name__ == "__main__":
    main()
