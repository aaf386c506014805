"""The Kubernetes side by kubectl: workloads, server-side apply, watches, and the webhook."""

import base64
import json
import pathlib
import ssl
import http.client
import subprocess
import time
import unittest
from urllib.parse import urlsplit

from test_command_line import KUBECTL, CommandLine, Kubectl

ROLE = "arn:aws:iam::123456789012:role/payments-api"
DEMO = pathlib.Path(__file__).resolve().parents[1] / "sandbox" / "seeds" / "demo.json"


def deployment(name="web", image="web:1", replicas=2, account="api"):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


@unittest.skipUnless(KUBECTL, "kubectl is not on PATH")
class Workloads(Kubectl):
    # The tests of the base class have run already.
    test_service_accounts = test_files = test_namespaces_and_rights = test_tokens = test_token_of_the_aws_cli = None

    def setUp(self):
        super().setUp()
        self.sandbox.control("POST", "seed", json.loads(DEMO.read_text()))
        self.kubeconfig(self.token("demo"))

    def pods(self, label):
        return self.json("get", "pods", "-l", f"app={label}")["items"]

    def environment_of(self, pod):
        return {e["name"]: e.get("value") for e in pod["spec"]["containers"][0].get("env", [])}

    def settings(self, **settings):
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", **settings}]})

    def test_get(self):
        self.assertRegex(self.kubectl("get", "deploy"), r"(?s)NAME +READY +UP-TO-DATE +AVAILABLE +AGE.*api +2/2 +2 +2 ")
        self.assertRegex(self.kubectl("get", "pods"), r"(?s)NAME +READY +STATUS +RESTARTS +AGE.*worker-0 +1/1 +Running +0 ")
        self.assertRegex(self.kubectl("get", "nodes"), r"ip-10-0-1-10.ec2.internal +Ready ")
        self.assertRegex(self.kubectl("get", "ds", "-A"), r"kube-system +eks-pod-identity-agent +2 +2 +2 ")
        self.assertIn("nightly", self.kubectl("get", "cronjobs"))
        self.assertIn("secrets-manager", self.kubectl("get", "secretstores", "-n", "platform"))
        self.assertIn("secrets-manager", self.kubectl("get", "ss.external-secrets.io", "-A"))
        self.assertIn("pod-identity-webhook", self.kubectl("get", "mutatingwebhookconfigurations"))
        self.assertIn("deployments", self.kubectl("api-resources"))
        self.assertIn("Replicas:", self.kubectl("describe", "deploy", "api"))
        fields = self.kubectl("get", "pods", "-A", "--field-selector=status.phase=Running", "-o", "name")
        self.assertIn("pod/worker-0", fields)

    def test_apply(self):
        self.assertIn("created", self.kubectl("apply", "-f", "-", stdin=deployment()))
        self.assertIn("unchanged", self.kubectl("apply", "-f", "-", stdin=deployment()))
        self.assertIn("configured", self.kubectl("apply", "-f", "-", stdin=deployment(image="web:2")))
        self.kubectl("rollout", "status", "deploy/web", "--timeout=30s")
        self.assertEqual({pod["spec"]["containers"][0]["image"] for pod in self.pods("web")}, {"web:2"})
        self.assertIn("scaled", self.kubectl("scale", "deploy/web", "--replicas=3"))
        self.assertEqual(len(self.pods("web")), 3)
        self.assertIn("updated", self.kubectl("set", "image", "deploy/web", "app=web:3"))
        self.kubectl("rollout", "status", "deploy/web", "--timeout=30s")
        self.assertIn("rolled back", self.kubectl("rollout", "undo", "deploy/web"))
        self.kubectl("rollout", "status", "deploy/web", "--timeout=30s")
        self.assertEqual({pod["spec"]["containers"][0]["image"] for pod in self.pods("web")}, {"web:2"})
        self.assertIn("created (server dry run)", self.kubectl("apply", "--dry-run=server", "-f", "-", stdin=deployment(name="dry")))
        self.assertIn("not found", self.kubectl("get", "deploy", "dry", ok=False))
        self.kubectl("delete", "deploy", "web", "--timeout=30s")
        self.assertEqual(self.pods("web"), [])

    def test_server_side_apply(self):
        account = lambda value: json.dumps({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ssa", "annotations": {"k": value}}})
        apply = ("apply", "--server-side", "-f", "-")
        self.assertIn("serverside-applied", self.kubectl(*apply, stdin=account("1")))
        self.kubectl("annotate", "sa", "ssa", "k=2", "--overwrite")
        error = self.kubectl(*apply, stdin=account("1"), ok=False)
        self.assertIn('conflict with "kubectl-annotate" using v1', error)
        self.assertIn(".metadata.annotations.k", error)
        self.assertIn("serverside-applied", self.kubectl(*apply, "--force-conflicts", stdin=account("1")))
        managed = json.loads(self.kubectl("get", "sa", "ssa", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]
        self.assertEqual([(m["manager"], m["operation"]) for m in managed], [("kubectl", "Apply")])
        self.assertIn("serverside-applied", self.kubectl(*apply, stdin=deployment("ssa")))
        self.kubectl("rollout", "status", "deploy/ssa", "--timeout=30s")

    def test_rollout(self):
        self.settings(controllers={"ready_ms": 150})
        before = {pod["metadata"]["name"] for pod in self.pods("api")}
        self.assertIn("restarted", self.kubectl("rollout", "restart", "deploy/api"))
        self.assertIn("successfully rolled out", self.kubectl("rollout", "status", "deploy/api", "--timeout=30s"))
        after = {pod["metadata"]["name"] for pod in self.pods("api")}
        self.assertEqual((len(after), before & after), (2, set()))
        for workload in ("sts/worker",):
            self.kubectl("rollout", "restart", workload)
            self.assertRegex(self.kubectl("rollout", "status", workload, "--timeout=30s"), "roll")
        self.kubectl("rollout", "restart", "ds/eks-pod-identity-agent", "-n", "kube-system")
        self.assertIn("successfully rolled out", self.kubectl("rollout", "status", "ds/eks-pod-identity-agent", "-n", "kube-system", "--timeout=30s"))
        self.kubectl("patch", "deploy", "api", "-p", '{"spec":{"progressDeadlineSeconds":1}}')
        self.settings(controllers={"workloads": [{"kind": "Deployment", "name": "api", "failure": "crash_loop"}]})
        self.kubectl("rollout", "restart", "deploy/api")
        self.assertIn("exceeded its progress deadline", self.kubectl("rollout", "status", "deploy/api", "--timeout=30s", ok=False))
        self.assertIn("CrashLoopBackOff", self.kubectl("get", "pods"))

    def test_watch(self):
        command = [KUBECTL, "get", "sa", "--watch", "--output-watch-events", "-o", "json"]
        watch = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        decoder, text, seen = json.JSONDecoder(), "", []

        def wait_for(event, name):
            nonlocal text
            while True:
                text += watch.stdout.readline()
                try:
                    found, end = decoder.raw_decode(text.lstrip())
                except ValueError:
                    continue
                text = text.lstrip()[end:]
                seen.append((found["type"], found["object"]["metadata"]["name"]))
                if seen[-1] == (event, name):
                    return

        wait_for("ADDED", "worker")
        self.kubectl("create", "serviceaccount", "new")
        wait_for("ADDED", "new")
        self.kubectl("annotate", "sa", "new", "a=b")
        wait_for("MODIFIED", "new")
        self.kubectl("delete", "sa", "new")
        wait_for("DELETED", "new")
        self.settings(controllers={"ready_ms": 300})
        self.kubectl("rollout", "restart", "deploy/ledger")
        done = self.kubectl("wait", "deploy/ledger", "--for=condition=Available", "--timeout=30s")
        self.assertIn("condition met", done)

    def test_a_watch_ends_in_time(self):
        endpoint = urlsplit(self.cluster["endpoint"])
        context = ssl.create_default_context(cadata=self.sandbox.ready["kubernetes_ca"])
        connection = http.client.HTTPSConnection(endpoint.hostname, endpoint.port, context=context)
        headers = {"Authorization": f"Bearer {self.token('demo')}"}
        started = time.monotonic()
        connection.request("GET", "/api/v1/namespaces/payments/serviceaccounts?watch=1&timeoutSeconds=1", headers=headers)
        answer = connection.getresponse()
        events = [json.loads(line) for line in answer.read().splitlines()]
        self.assertLess(time.monotonic() - started, 20)
        self.assertEqual({event["type"] for event in events}, {"ADDED"})
        connection.request("GET", "/api/v1/namespaces/payments/serviceaccounts?watch=1&resourceVersion=1", headers=headers)
        event = json.loads(connection.getresponse().readline())
        self.assertEqual((event["type"], event["object"]["code"]), ("ERROR", 410))
        connection.close()

    def test_the_webhook_and_a_migration(self):
        probe = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "probe-"}, "spec": {"serviceAccountName": "api", "containers": [{"name": "p", "image": "p"}]}})
        ask = lambda: self.environment_of(json.loads(self.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=probe)))
        self.assertEqual(ask()["AWS_ROLE_ARN"], ROLE)
        role = self.iam.get_role(RoleName="payments-api")["Role"]
        document = role["AssumeRolePolicyDocument"]
        document["Statement"].append({"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]})
        self.iam.update_assume_role_policy(RoleName="payments-api", PolicyDocument=json.dumps(document))
        self.settings(webhook={"api_servers": 2, "delay_probes": 2})
        association = self.associate("api", roleArn=ROLE)
        self.assertNotIn("AWS_CONTAINER_CREDENTIALS_FULL_URI", ask(), "not yet")
        for _ in range(4):
            answer = ask()
        self.assertIn("AWS_CONTAINER_CREDENTIALS_FULL_URI", answer)
        self.assertNotIn("AWS_ROLE_ARN", answer)
        self.assertIn("AWS_ROLE_ARN", self.environment_of(self.pods("api")[0]), "running pods are left alone")
        self.kubectl("rollout", "restart", "deploy/api")
        self.kubectl("rollout", "status", "deploy/api", "--timeout=30s")
        pod = self.pods("api")[0]
        self.assertIn("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.environment_of(pod))
        self.assertEqual(pod["metadata"]["labels"]["eks.amazonaws.com/pod-identity"], "enabled")
        self.kubectl("annotate", "sa", "api", "eks.amazonaws.com/role-arn-")
        report = self.sandbox.control("GET", "credentials")
        self.assertEqual(report["violations"], [])
        self.assertGreater(report["transitions"], 5)
        token = self.kubectl("create", "token", "api", "--audience=pods.eks.amazonaws.com", "--bound-object-kind=Pod", f"--bound-object-name={pod['metadata']['name']}").strip()
        auth = self.client("eks-auth")
        answer = auth.assume_role_for_pod_identity(clusterName="demo", token=token)
        self.assertEqual(answer["podIdentityAssociation"]["associationId"], association["associationId"])
        keys = answer["credentials"]
        me = self.client("sts", key=keys["accessKeyId"], secret=keys["secretAccessKey"], token=keys["sessionToken"]).get_caller_identity()
        self.assertIn(":assumed-role/payments-api/eks-demo-", me["Arn"])
        self.assertFails("InvalidTokenException", "token", auth.assume_role_for_pod_identity, clusterName="demo", token="x.y.z", status=400)
        document["Statement"].pop()
        self.iam.update_assume_role_policy(RoleName="payments-api", PolicyDocument=json.dumps(document))
        violations = self.sandbox.control("GET", "credentials")["violations"]
        self.assertTrue(any("does not let Pod Identity in" in v["reason"] for v in violations), violations)

    def test_other_ways_to_authenticate(self):
        certificate = self.sandbox.control("POST", "client-certificates", {"user": "jane"})
        rule = lambda user, *verbs: {"principal_arn": user, "rules": [{"verbs": verbs, "resources": ["serviceaccounts", "serviceaccounts/token"]}]}
        me, jane, account = "arn:aws:iam::123456789012:user/sandbox", "jane", "system:serviceaccount:payments:api"
        self.settings(access=[rule(me), rule(account, "list")])
        token = self.kubectl("create", "token", "api").strip()
        self.kubeconfig(token)
        self.kubectl("get", "sa")
        self.assertIn(f'User "{account}" cannot get resource "serviceaccounts"', self.kubectl("label", "sa", "api", "a=b", ok=False))
        path = self.environment["KUBECONFIG"]
        config = json.loads(pathlib.Path(path).read_text())
        encoded = lambda text: base64.b64encode(text.encode()).decode()
        config["users"][0]["user"] = {"client-certificate-data": encoded(certificate["certificate"]), "client-key-data": encoded(certificate["key"])}
        pathlib.Path(path).write_text(json.dumps(config))
        self.assertIn("must be logged in", self.kubectl("get", "sa", ok=False), "a name without a grant")
        self.settings(access=[rule(jane, "get", "list")])
        self.kubectl("get", "sa")
        self.assertIn('User "jane" cannot', self.kubectl("label", "sa", "api", "a=b", ok=False))

    def test_a_thousand_service_accounts_in_pages(self):
        accounts = [{"namespace": "many", "name": f"sa-{n:04}"} for n in range(1200)]
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", "service_accounts": accounts}]})
        self.sandbox.control("DELETE", "requests")
        self.assertEqual(len(self.json("get", "sa", "-n", "many")["items"]), 1201)
        lists = self.requests("kubernetes", "list serviceaccounts")
        self.assertEqual(len(lists), 3)
        self.assertEqual([entry["parameters"]["limit"] for entry in lists], ["500"] * 3)


del Kubectl, CommandLine

if __name__ == "__main__":
    unittest.main()
