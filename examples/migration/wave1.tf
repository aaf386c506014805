# The first wave: everything in one namespace that nothing speaks against.
resource "podidentity_irsa_migration" "wave1" {
  for_each = {
    for key, account in data.podidentity_irsa_inventory.this.service_accounts : key => account
    if account.migratable && account.namespace == "payments"
  }

  cluster_name    = "demo"
  namespace       = each.value.namespace
  service_account = each.value.name

  # Deployments, StatefulSets and DaemonSets are restarted one at a time.
  rollout = { strategy = "restart" }

  # Nothing of IRSA is taken away yet; that is for a later wave.
  retire = { annotation = false, trust = false }
}
