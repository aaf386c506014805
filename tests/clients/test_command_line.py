"""The AWS CLI and kubectl, as people use them."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from sandbox_process import SandboxTest

# The pinned one that was installed beside this Python, before whatever the machine has.
AWS = shutil.which("aws", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
KUBECTL = shutil.which("kubectl")


class CommandLine(SandboxTest):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.directory.name,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            # The first generation of the AWS CLI knows this name only.
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.sandbox.aws,
            "AWS_PAGER": "",
        }
        for name in ("PYENV_ROOT", "PYENV_VERSION", "VIRTUAL_ENV", "PYTHONPATH"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def run_command(self, *command, ok=True, stdin=None):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, input=stdin)
        if ok:
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        else:
            self.assertNotEqual(done.returncode, 0, f"{command}: {done.stdout}")
        return done.stdout if ok else done.stderr


@unittest.skipUnless(AWS, "the AWS CLI is not on PATH")
class AwsCli(CommandLine):
    def aws(self, *arguments, ok=True):
        return self.run_command(AWS, "--output", "json", *arguments, ok=ok)

    def test_the_three_objects(self):
        document = os.path.join(self.directory.name, "trust.json")
        with open(document, "w") as file:
            statement = {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
            json.dump({"Version": "2012-10-17", "Statement": [statement]}, file)
        role = json.loads(self.aws("iam", "create-role", "--role-name", "payments", "--assume-role-policy-document", f"file://{document}"))["Role"]["Arn"]
        # Active at the first look: the waiter of the AWS CLI sleeps for ten seconds after any other.
        behaviour = {"eks-pod-identity-agent": {"create": [{"status": "ACTIVE"}]}}
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", "addon_behaviour": behaviour}]})
        agent = ["--cluster-name", "demo", "--addon-name", "eks-pod-identity-agent"]
        self.aws("eks", "create-addon", *agent)
        self.aws("eks", "wait", "addon-active", *agent)
        common = ["--cluster-name", "demo", "--namespace", "payments", "--service-account", "api"]
        self.aws("eks", "create-pod-identity-association", *common, "--role-arn", role, "--tags", "team=payments")
        listed = json.loads(self.aws("eks", "list-pod-identity-associations", "--cluster-name", "demo"))["associations"]
        self.assertEqual([(a["namespace"], a["serviceAccount"]) for a in listed], [("payments", "api")])
        error = self.aws("eks", "create-pod-identity-association", *common, "--role-arn", role, ok=False)
        self.assertIn("ResourceInUseException", error)
        self.assertIn(listed[0]["associationId"], error)


@unittest.skipUnless(KUBECTL, "kubectl is not on PATH")
class Kubectl(CommandLine):
    def setUp(self):
        super().setUp()
        cluster = self.eks.describe_cluster(name="demo")["cluster"]
        self.assertEqual(cluster["endpoint"], self.sandbox.ready["kubernetes_endpoint"])
        self.assertEqual(base64.b64decode(cluster["certificateAuthority"]["data"]).decode(), self.sandbox.ready["kubernetes_ca"])
        self.cluster = cluster
        self.kubeconfig(self.token("demo"))

    def kubeconfig(self, token):
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "demo", "cluster": {"server": self.cluster["endpoint"], "certificate-authority-data": self.cluster["certificateAuthority"]["data"]}}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "me", "namespace": "payments"}}],
            "current-context": "demo",
        }
        path = os.path.join(self.directory.name, "kubeconfig")
        with open(path, "w") as file:
            json.dump(config, file)
        self.environment["KUBECONFIG"] = path

    def token(self, cluster, key="test", host=None):
        """What `aws eks get-token` makes: a presigned GetCallerIdentity with the cluster's name in a signed header."""
        from botocore.awsrequest import AWSRequest
        from botocore.auth import SigV4QueryAuth
        from botocore.credentials import Credentials

        url = f"{host or self.sandbox.aws}/?Action=GetCallerIdentity&Version=2011-06-15"
        request = AWSRequest(method="GET", url=url, headers={"x-k8s-aws-id": cluster})
        SigV4QueryAuth(Credentials(key, key), "sts", "us-east-1", expires=60).add_auth(request)
        return "k8s-aws-v1." + base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")

    def kubectl(self, *arguments, ok=True, stdin=None):
        return self.run_command(KUBECTL, *arguments, ok=ok, stdin=stdin)

    def json(self, *arguments):
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def test_service_accounts(self):
        self.kubectl("create", "serviceaccount", "api")
        self.assertRegex(self.kubectl("get", "sa"), r"(?s)NAME +SECRETS +AGE.*api +0 +\d+s.*default")
        self.kubectl("annotate", "sa", "api", "eks.amazonaws.com/role-arn=arn:aws:iam::123456789012:role/x")
        self.assertEqual(self.json("get", "sa", "api")["metadata"]["annotations"], {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/x"})
        self.kubectl("annotate", "sa", "api", "eks.amazonaws.com/role-arn-")
        self.assertNotIn("annotations", self.json("get", "sa", "api")["metadata"])
        self.kubectl("patch", "sa", "api", "--type=merge", "-p", '{"automountServiceAccountToken":false}')
        self.kubectl("patch", "sa", "api", "--type=json", "-p", '[{"op":"add","path":"/metadata/labels","value":{"app":"api"}}]')
        self.kubectl("patch", "sa", "api", "-p", '{"imagePullSecrets":[{"name":"registry"}]}')
        account = self.json("get", "sa", "-l", "app=api")["items"][0]
        self.assertEqual((account["automountServiceAccountToken"], account["imagePullSecrets"]), (False, [{"name": "registry"}]))
        self.kubectl("label", "sa", "api", "tier=one")
        self.assertIn("deleted", self.kubectl("delete", "sa", "api"))
        self.assertIn('serviceaccounts "api" not found', self.kubectl("get", "sa", "api", ok=False))

    def test_files(self):
        manifest = json.dumps({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "annotations": {"a": "1"}}})
        self.kubectl("create", "-f", "-", stdin=manifest)
        self.assertIn('serviceaccounts "web" already exists', self.kubectl("create", "-f", "-", stdin=manifest, ok=False))
        self.assertIn("configured", self.kubectl("apply", "-f", "-", stdin=manifest.replace('"1"', '"2"')))
        self.assertIn("unchanged", self.kubectl("apply", "-f", "-", stdin=manifest.replace('"1"', '"2"')))
        self.assertEqual(self.json("get", "sa", "web")["metadata"]["annotations"]["a"], "2")
        typo = manifest.replace('"metadata"', '"secerts": [], "metadata"').replace("web", "typo")
        self.assertIn('unknown field "secerts"', self.kubectl("create", "-f", "-", stdin=typo, ok=False))
        replaced = self.json("get", "sa", "web")
        replaced["metadata"]["resourceVersion"] = "1"
        self.assertIn("the object has been modified", self.kubectl("replace", "-f", "-", stdin=json.dumps(replaced), ok=False))

    def test_namespaces_and_rights(self):
        self.kubectl("create", "namespace", "orders")
        self.assertIn("Active", self.kubectl("get", "ns", "orders"))
        self.assertIn("default", self.kubectl("get", "sa", "-A"))
        self.assertEqual(self.kubectl("auth", "can-i", "patch", "serviceaccounts").strip(), "yes")
        self.kubectl("delete", "namespace", "orders")
        self.assertIn('namespaces "orders" not found', self.kubectl("get", "ns", "orders", ok=False))
        self.assertIn("v1.33", self.kubectl("version"))
        rules = [{"verbs": ["get", "list"], "resources": ["serviceaccounts"], "namespaces": ["payments"]}]
        grant = {"principal_arn": "arn:aws:iam::123456789012:user/sandbox", "rules": rules}
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", "access": [grant]}]})
        self.kubectl("get", "sa")
        self.assertEqual(self.run_no("auth", "can-i", "patch", "serviceaccounts"), "no")
        self.assertIn('cannot patch resource "serviceaccounts" in API group "" in the namespace "payments"', self.kubectl("label", "sa", "default", "a=b", ok=False))

    def run_no(self, *arguments):
        done = subprocess.run([KUBECTL, *arguments], env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def test_tokens(self):
        for name, token in [
            ("another cluster", self.token("prod")),
            ("another account", self.token("demo", key="test2")),
            ("unknown key", self.token("demo", key="nobody")),
            ("another host", self.token("demo", host="https://sts.example.com")),
            ("garbage", "k8s-aws-v1.AAAA"),
        ]:
            with self.subTest(name):
                self.kubeconfig(token)
                self.assertIn("must be logged in", self.kubectl("get", "sa", ok=False))
        self.kubeconfig(self.token("demo", host="https://sts.us-east-1.amazonaws.com"))
        self.kubectl("get", "sa")

    @unittest.skipUnless(AWS, "the AWS CLI is not on PATH")
    def test_token_of_the_aws_cli(self):
        token = json.loads(self.run_command(AWS, "eks", "get-token", "--cluster-name", "demo", "--output", "json"))["status"]["token"]
        self.kubeconfig(token)
        self.kubectl("get", "sa")


if __name__ == "__main__":
    unittest.main()
