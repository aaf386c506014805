# The version that EKS recommends for the cluster when this is first applied, kept from then on.
resource "podidentity_agent" "this" {
  cluster_name = "demo"

  configuration_values = jsonencode({
    resources = {
      limits = { memory = "128Mi" }
    }
  })
}
