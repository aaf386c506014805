# The role that the pods assume. Only pods of this cluster, namespace and service account can.
resource "podidentity_role" "payments" {
  name        = "payments"
  policy_arns = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
  trust = {
    cluster_arns     = ["arn:aws:eks:us-east-1:123456789012:cluster/demo"]
    namespaces       = ["payments"]
    service_accounts = ["api"]
  }
}

# The agent on every node that hands the pods their credentials.
resource "podidentity_agent" "this" {
  cluster_name = "demo"
}

# Pods that run as this service account get that role.
resource "podidentity_association" "payments" {
  cluster_name    = "demo"
  namespace       = "payments"
  service_account = "api"
  role_arn        = podidentity_role.payments.arn
}
