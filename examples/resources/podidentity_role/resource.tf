# A role that any pod of the account's clusters may assume, once an association says so.
resource "podidentity_role" "reports" {
  name_prefix = "reports-"
  policy_arns = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
}

# Only pods of one service account in one cluster; permissions written in place.
resource "podidentity_role" "payments" {
  name                 = "payments"
  path                 = "/eks/"
  description          = "Payments API"
  max_session_duration = 7200

  trust = {
    cluster_arns     = ["arn:aws:eks:us-east-1:123456789012:cluster/demo"]
    namespaces       = ["payments"]
    service_accounts = ["api"]
  }

  inline_policies = {
    invoices = jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "arn:aws:s3:::invoices/*"
      }]
    })
  }

  tags = {
    team = "payments"
  }
}
