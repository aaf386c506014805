resource "podidentity_role" "payments" {
  name        = "payments"
  policy_arns = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
}

# Pods that run as the service account payments/api get the role.
resource "podidentity_association" "payments" {
  cluster_name    = "demo"
  namespace       = "payments"
  service_account = "api"
  role_arn        = podidentity_role.payments.arn
}

# A session policy narrows what the role allows, for this service account only.
resource "podidentity_association" "report" {
  cluster_name         = "demo"
  namespace            = "payments"
  service_account      = "report"
  role_arn             = podidentity_role.payments.arn
  disable_session_tags = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "arn:aws:s3:::invoices/reports/*"
    }]
  })
}
