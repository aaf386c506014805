"""The incumbent provider against the sandbox: role, add-on and association, from apply to destroy.

Needs terraform on PATH and, in PODIDENTITY_AWS_PROVIDER_MIRROR, an unpacked filesystem mirror holding hashicorp/aws 5.100.0.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from sandbox_process import SandboxTest

MIRROR = os.environ.get("PODIDENTITY_AWS_PROVIDER_MIRROR")
TERRAFORM = shutil.which("terraform")

CONFIGURATION = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_metadata_api_check     = "true"
  endpoints {
    eks = "%(endpoint)s"
    iam = "%(endpoint)s"
    sts = "%(endpoint)s"
  }
}

resource "aws_iam_role" "payments" {
  name        = "payments"
  description = "%(description)s"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })
  tags = { team = "payments" }
}

resource "aws_eks_addon" "agent" {
  cluster_name  = "demo"
  addon_name    = "eks-pod-identity-agent"
  addon_version = "%(version)s"
}

resource "aws_eks_pod_identity_association" "payments" {
  cluster_name    = "demo"
  namespace       = "payments"
  service_account = "api"
  role_arn        = aws_iam_role.payments.arn
  tags            = { team = "payments" }
}
"""


def skipped(reason):
    print(f"skipped: hashicorp/aws against the sandbox: {reason}", file=sys.stderr)
    return reason


REASON = (
    skipped("PODIDENTITY_AWS_PROVIDER_MIRROR names no mirror")
    if not MIRROR
    else skipped("terraform is not on PATH") if not TERRAFORM else None
)


@unittest.skipIf(REASON, REASON)
class HashicorpAws(SandboxTest):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        rc = os.path.join(self.directory.name, "terraform.rc")
        with open(rc, "w") as file:
            file.write(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{MIRROR}"\n  }}\n}}\n')
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.directory.name,
            "TF_CLI_CONFIG_FILE": rc,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }

    def write(self, description, version):
        with open(os.path.join(self.directory.name, "main.tf"), "w") as file:
            file.write(CONFIGURATION % {"endpoint": self.sandbox.aws, "description": description, "version": version})

    def terraform(self, *arguments, code=0):
        done = subprocess.run(
            [TERRAFORM, *arguments, "-no-color"], cwd=self.directory.name, env=self.environment, capture_output=True, text=True, timeout=600
        )
        self.assertEqual(done.returncode, code, f"terraform {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def test_apply_change_and_destroy(self):
        self.write("first", "v1.3.8-eksbuild.2")
        self.terraform("init", "-input=false")
        self.terraform("apply", "-auto-approve", "-input=false")
        (association,) = self.eks.list_pod_identity_associations(clusterName="demo")["associations"]
        self.assertEqual((association["namespace"], association["serviceAccount"]), ("payments", "api"))
        self.terraform("plan", "-detailed-exitcode", "-input=false")
        self.write("second", "v1.3.10-eksbuild.2")
        self.terraform("apply", "-auto-approve", "-input=false")
        self.assertEqual(self.iam.get_role(RoleName="payments")["Role"]["Description"], "second")
        self.terraform("destroy", "-auto-approve", "-input=false")
        self.assertEqual(self.eks.list_pod_identity_associations(clusterName="demo")["associations"], [])
        self.assertEqual(self.eks.list_addons(clusterName="demo")["addons"], [])
        self.assertEqual(self.iam.list_roles()["Roles"], [])
        failed = [e for e in self.requests() if e["status"] >= 400 and e["status"] != 404]
        self.assertEqual(failed, [])
        unknown = [e for e in self.requests() if e.get("error_code") in ("UnknownOperationException", "InvalidAction")]
        self.assertEqual(unknown, [])


if __name__ == "__main__":
    unittest.main()
