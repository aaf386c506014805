data "podidentity_irsa_inventory" "this" {
  cluster_name = "demo"
}

# Wave 1: what can be migrated in one namespace. Both ways to credentials stay open.
resource "podidentity_irsa_migration" "wave1" {
  for_each = {
    for key, account in data.podidentity_irsa_inventory.this.service_accounts : key => account
    if account.migratable && account.namespace == "payments"
  }

  cluster_name    = "demo"
  namespace       = each.value.namespace
  service_account = each.value.name
  rollout         = { strategy = "restart" }
}

# IRSA is taken away once all pods have been well on Pod Identity for a day.
resource "podidentity_irsa_migration" "orders" {
  cluster_name    = "demo"
  namespace       = "orders"
  service_account = "web"
  rollout         = { strategy = "restart", timeout = "15m", pause = "1s" }
  soak_duration   = "24h"
  retire          = { annotation = true, trust = true }
}
