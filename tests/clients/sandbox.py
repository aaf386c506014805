"""Starts the sandbox for a test, and speaks its control API.

The binary is the one PODIDENTITY_SANDBOX names, else the newest cargo built in this repository.
"""

import json
import os
import pathlib
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    named = os.environ.get("PODIDENTITY_SANDBOX")
    if named:
        return named
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for profile in ("debug", "release") if (path := target / profile / "podidentity-sandbox").exists()]
    if not built:
        raise FileNotFoundError("no sandbox: run `cargo build --package podidentity-sandbox`, or name one in PODIDENTITY_SANDBOX")
    return str(max(built, key=lambda path: path.stat().st_mtime))


class Sandbox:
    """A running sandbox; `ready` holds the line it printed: aws_endpoint, kubernetes_endpoint, kubernetes_ca, account_id, region, clusters."""

    def __init__(self, *arguments):
        # The open standard input ends the sandbox should this process die without stopping it.
        command = [binary(), "--listen", "127.0.0.1:0", "--parent-watch", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: exit status {self.process.wait()}")
        self.ready = json.loads(line)
        self.aws_endpoint = self.ready["aws_endpoint"]
        self.account_id = self.ready["account_id"]

    def control(self, method, path, body=None):
        """One call of the control API; the JSON it answers with."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.aws_endpoint}/_sandbox/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read() or b"null")

    def reset(self):
        self.control("POST", "reset")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
