"""Journal, faults and seeds, as tests use them through the control API."""

import concurrent.futures
import json
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import boto3
import botocore.exceptions
from botocore.config import Config

from sandbox_process import Sandbox, SandboxTest, binary


class Journal(SandboxTest):
    def test_entries(self):
        self.role()
        created = self.associate()
        self.eks.describe_pod_identity_association(clusterName="demo", associationId=created["associationId"])
        self.assertFails("ResourceNotFoundException", "", self.eks.describe_cluster, name="nowhere")
        entries = self.sandbox.control("GET", "requests")
        seen = [(e["service"], e["operation"], e["status"]) for e in entries]
        self.assertEqual(
            seen,
            [
                ("iam", "CreateRole", 200),
                ("eks", "CreatePodIdentityAssociation", 200),
                ("eks", "DescribePodIdentityAssociation", 200),
                ("eks", "DescribeCluster", 404),
            ],
        )
        self.assertEqual(entries[0]["parameters"]["RoleName"], "payments")
        self.assertEqual(entries[1]["parameters"]["serviceAccount"], "api")
        self.assertEqual(entries[2]["parameters"], {"clusterName": "demo", "associationId": created["associationId"]})
        self.assertEqual(entries[3]["error_code"], "ResourceNotFoundException")
        self.assertRegex(entries[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(entries[0]["account_id"], "123456789012")
        self.sandbox.control("DELETE", "requests")
        self.assertEqual(self.sandbox.control("GET", "requests"), [])

    def test_direct_calls_leave_no_trace(self):
        self.role()
        self.sandbox.control("DELETE", "requests")
        self.sandbox.control("POST", "call", {"service": "iam", "operation": "UpdateRoleDescription", "parameters": {"RoleName": "payments", "Description": "drift"}})
        self.assertEqual(self.sandbox.control("GET", "requests"), [])
        self.assertEqual(self.iam.get_role(RoleName="payments")["Role"]["Description"], "drift")


class Faults(SandboxTest):
    def test_throttling(self):
        self.sandbox.control("POST", "faults", [{"service": "eks", "throttle": True, "count": 1}, {"service": "iam", "throttle": True, "count": 1}])
        self.assertFails("ThrottlingException", "Rate exceeded", self.eks.list_clusters, status=429)
        self.assertFails("Throttling", "Rate exceeded", self.iam.list_roles, status=400)
        self.eks.list_clusters()
        self.iam.list_roles()

    def test_clients_retry(self):
        self.sandbox.control("POST", "faults", {"operation": "ListClusters", "throttle": True, "count": 2})
        patient = boto3.client(
            "eks", endpoint_url=self.sandbox.aws, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": 4}),
        )
        self.assertEqual(patient.list_clusters()["clusters"], ["demo"])
        self.assertEqual([e["status"] for e in self.requests("eks", "ListClusters")], [429, 429, 200])

    def test_error_for_some_parameters(self):
        rule = {"service": "eks", "operation": "DescribeCluster", "parameters": {"name": "demo"}, "error": {"code": "ServerException", "message": "oh", "status": 500}}
        self.sandbox.control("POST", "faults", rule)
        self.assertFails("ServerException", "oh", self.eks.describe_cluster, name="demo", status=500)
        self.assertFails("ResourceNotFoundException", "", self.eks.describe_cluster, name="other")
        self.sandbox.control("DELETE", "faults")
        self.eks.describe_cluster(name="demo")

    def test_dropped_connections(self):
        self.role()
        self.sandbox.control("POST", "faults", [{"operation": "CreatePodIdentityAssociation", "drop": "before", "count": 1}])
        lost = (botocore.exceptions.ConnectionClosedError, botocore.exceptions.ReadTimeoutError, botocore.exceptions.EndpointConnectionError)
        with self.assertRaises(lost):
            self.associate(clientRequestToken="token")
        self.assertEqual(self.eks.list_pod_identity_associations(clusterName="demo")["associations"], [])
        self.sandbox.control("POST", "faults", [{"operation": "CreatePodIdentityAssociation", "drop": "after", "count": 1}])
        with self.assertRaises(lost):
            self.associate(clientRequestToken="token")
        (there,) = self.eks.list_pod_identity_associations(clusterName="demo")["associations"]
        self.assertEqual(self.associate(clientRequestToken="token")["associationId"], there["associationId"])
        self.assertEqual([e.get("dropped") for e in self.requests("eks", "CreatePodIdentityAssociation")], ["before", "after", None])

    def test_latency(self):
        self.sandbox.control("POST", "faults", {"operation": "ListClusters", "latency_ms": 300, "count": 1})
        start = time.monotonic()
        self.eks.list_clusters()
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_held_answers(self):
        self.role()
        self.sandbox.control("DELETE", "requests")
        self.sandbox.control("POST", "faults", {"hold": True, "skip": 1, "count": 1})
        self.eks.list_clusters()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            held = pool.submit(self.associate)
            while not any(entry.get("held") for entry in self.requests()):
                time.sleep(0.01)
            self.assertEqual(self.requests()[-1]["status"], 200)
            self.assertEqual(len(self.eks.list_pod_identity_associations(clusterName="demo")["associations"]), 1, "it has taken effect")
            time.sleep(0.1)
            self.assertFalse(held.done())
            self.sandbox.control("DELETE", "faults")
            self.assertRegex(held.result(10)["associationId"], "^a-")
        self.assertEqual([entry.get("held", False) for entry in self.requests()], [False, True, False])

    def test_held_answers_of_kubernetes(self):
        certificate = self.sandbox.control("POST", "client-certificates", {"user": "jane"})
        access = {"principal_arn": "jane", "rules": [{"verbs": ["*"], "resources": ["*"], "api_groups": ["*"]}]}
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", "access": [access]}]})
        self.sandbox.control("POST", "faults", {"operation": "create configmaps", "hold": True})
        ready = self.sandbox.ready
        context = ssl.create_default_context(cadata=ready["kubernetes_ca"])
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
            pem.write(certificate["certificate"] + certificate["key"])
            pem.flush()
            context.load_cert_chain(pem.name)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

        def call(body=None):
            url = f"{ready['kubernetes_endpoint']}/api/v1/namespaces/payments/configmaps"
            data = None if body is None else json.dumps(body).encode()
            with opener.open(urllib.request.Request(url, data, {"content-type": "application/json"}), timeout=30) as answer:
                return json.load(answer)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            held = pool.submit(call, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held"}})
            while not any(entry.get("held") for entry in self.requests("kubernetes")):
                time.sleep(0.01)
            self.assertEqual([item["metadata"]["name"] for item in call()["items"]], ["held"])
            self.assertFalse(held.done())
            self.sandbox.control("DELETE", "faults")
            self.assertEqual(held.result(10)["metadata"]["name"], "held")

    def test_a_malformed_rule_is_refused(self):
        request = urllib.request.Request(f"{self.sandbox.aws}/_sandbox/faults", data=b'{"thrtle": true}', method="POST")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        self.assertEqual(caught.exception.code, 400)
        self.assertIn("thrtle", caught.exception.read().decode())
        caught.exception.close()


class Process(unittest.TestCase):
    def test_only_loopback(self):
        done = subprocess.run([binary(), "--listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=10)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not a loopback address", done.stderr)

    def test_ready_line_and_end(self):
        sandbox = Sandbox("--cluster", "one", "--cluster", "two", "--region", "eu-west-1", "--account-id", "111122223333")
        self.assertEqual(set(sandbox.ready), {"aws_endpoint", "kubernetes_endpoint", "kubernetes_ca", "account_id", "region", "clusters"})
        self.assertEqual((sandbox.ready["account_id"], sandbox.ready["region"]), ("111122223333", "eu-west-1"))
        self.assertEqual(sandbox.ready["clusters"], ["one", "two"])
        self.assertEqual(sandbox.client("eks", region="eu-west-1").list_clusters()["clusters"], ["one", "two"])
        sandbox.process.terminate()
        self.assertEqual(sandbox.process.wait(10), 0)
        sandbox.process.stdin.close()
        sandbox.process.stdout.close()


if __name__ == "__main__":
    unittest.main()
