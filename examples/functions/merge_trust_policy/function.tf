terraform {
  # Provider functions need Terraform 1.8 or later.
  required_version = ">= 1.8"
}

locals {
  cluster_arn = "arn:aws:eks:us-east-1:123456789012:cluster/demo"
  issuer      = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"

  # The trust policy as it has been for IRSA.
  irsa = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/${local.issuer}" }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:payments:api"
        }
      }
    }]
  })
}

# To be the assume_role_policy of the aws_iam_role.
output "assume_role_policy" {
  value = provider::podidentity::merge_trust_policy(local.irsa, local.cluster_arn, "payments", "api")
}

# Two service accounts on one role: nest the calls.
output "shared" {
  value = provider::podidentity::merge_trust_policy(
    provider::podidentity::merge_trust_policy(local.irsa, local.cluster_arn, "payments", "api"),
    local.cluster_arn, "payments", "worker",
  )
}

# For every service account of the cluster, with associations that have session tags turned off.
output "whole_cluster" {
  value = provider::podidentity::merge_trust_policy(local.irsa, local.cluster_arn, "payments", "api", {
    scope                = "cluster"
    disable_session_tags = true
  })
}
