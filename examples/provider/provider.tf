terraform {
  required_providers {
    podidentity = {
      source = "registry.terraform.io/podidentity/podidentity"
    }
  }
}

# Region and credentials come from the same places as for hashicorp/aws:
# these arguments, AWS_* environment variables, shared files, or the environment Terraform runs in.
provider "podidentity" {
  region       = "us-east-1"
  cluster_name = "demo" # for resources that do not name one

  default_tags {
    tags = {
      managed-by = "terraform"
    }
  }
}

# The agent runs on every node and hands the pods their credentials.
resource "podidentity_agent" "this" {}

# Pods of the service account payments/api may assume this role, and nobody else.
resource "podidentity_role" "payments" {
  name        = "payments"
  policy_arns = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]

  trust = {
    namespaces       = ["payments"]
    service_accounts = ["api"]
  }
}

resource "podidentity_association" "payments" {
  namespace       = "payments"
  service_account = "api"
  role_arn        = podidentity_role.payments.arn
}
