data "podidentity_cluster" "demo" {
  cluster_name = "demo"
}

# Stops a plan for a cluster where pods would not get credentials, and says why.
output "cluster_arn" {
  value = data.podidentity_cluster.demo.arn

  precondition {
    condition     = data.podidentity_cluster.demo.ready
    error_message = join("\n", data.podidentity_cluster.demo.reasons[*].message)
  }
}
