# What there is of IRSA in the cluster, and what stands in the way of moving it.
data "podidentity_irsa_inventory" "this" {
  cluster_name = "demo"
}
