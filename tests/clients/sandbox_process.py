"""A sandbox binary under test, and clients for it that nobody here wrote.

The binary is the one that the environment variable PODIDENTITY_SANDBOX names, else the newest one cargo built in this repository.
"""

import json
import os
import pathlib
import subprocess
import unittest
import urllib.error
import urllib.request

# Everything under test is on loopback, whatever proxy the environment names.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

try:
    import boto3
    from botocore.config import Config
except ImportError as error:  # pragma: no cover
    raise SystemExit(f"tests/clients needs boto3: python3 -m pip install boto3 ({error})") from error

from answer_check import AnswerCheck

BOTH_ACTIONS = ["sts:AssumeRole", "sts:TagSession"]


def trust(actions=BOTH_ACTIONS, principal="pods.eks.amazonaws.com"):
    statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def binary():
    """Path of the sandbox binary."""
    named = os.environ.get("PODIDENTITY_SANDBOX")
    if named:
        return named
    root = pathlib.Path(__file__).resolve().parents[2]
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    built = [path for profile in ("debug", "release") if (path := target / profile / "podidentity-sandbox").exists()]
    if not built:
        raise SystemExit("no sandbox: run `cargo build -p podidentity-sandbox`, or name one in PODIDENTITY_SANDBOX")
    return str(max(built, key=lambda path: path.stat().st_mtime))


class Sandbox:
    """A running sandbox process."""

    def __init__(self, *arguments):
        # The open standard input ends the sandbox should this process die without stopping it.
        command = [binary(), "--parent-watch", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{command} printed no ready line; exit code {self.process.wait()}")
        self.ready = json.loads(line)
        self.aws = self.ready["aws_endpoint"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.aws}/_sandbox/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def client(self, service, key="test", secret=None, token=None, region="us-east-1", check=None, **config):
        client = boto3.client(
            service,
            endpoint_url=self.aws,
            aws_access_key_id=key,
            aws_secret_access_key=key if secret is None else secret,
            aws_session_token=token,
            region_name=region,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, **config),
        )
        if check is not None:
            check.watch(client)
        return client


class SandboxTest(unittest.TestCase):
    """One sandbox per class, reset before every test; every answer is checked against botocore's service model."""

    @classmethod
    def setUpClass(cls):
        cls.sandbox = Sandbox()
        cls.addClassCleanup(cls.sandbox.stop)

    def setUp(self):
        self.sandbox.control("POST", "reset")
        self.answers = AnswerCheck()
        self.eks, self.iam, self.sts = (self.client(service) for service in ("eks", "iam", "sts"))

    def tearDown(self):
        self.assertEqual(self.answers.problems, [], "answers that do not fit the service model")
        self.assertEqual(self.answers.seen > 0, self.answers.sent > 0, "the check must see what the clients receive")

    def client(self, service, **options):
        return self.sandbox.client(service, check=self.answers, **options)

    def role(self, name="payments", **options):
        options.setdefault("AssumeRolePolicyDocument", trust())
        return self.iam.create_role(RoleName=name, **options)["Role"]["Arn"]

    def associate(self, service_account="api", **options):
        options.setdefault("clusterName", "demo")
        options.setdefault("namespace", "payments")
        if "roleArn" not in options:
            options["roleArn"] = "arn:aws:iam::123456789012:role/payments"
        return self.eks.create_pod_identity_association(serviceAccount=service_account, **options)["association"]

    def assertFails(self, code, message, call, *arguments, status=None, **options):
        """The call fails with this code; the message contains the text. Returns the error's response."""
        try:
            call(*arguments, **options)
        except Exception as error:  # botocore makes exception classes at run time
            response = getattr(error, "response", None)
            if response is None:
                raise
            self.assertEqual(response["Error"]["Code"], code, response["Error"])
            self.assertIn(message, response["Error"]["Message"])
            if status is not None:
                self.assertEqual(response["ResponseMetadata"]["HTTPStatusCode"], status)
            return response
        self.fail(f"expected {code}")

    def requests(self, service=None, operation=None):
        return [
            entry
            for entry in self.sandbox.control("GET", "requests")
            if service in (None, entry["service"]) and operation in (None, entry["operation"])
        ]
