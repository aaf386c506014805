# Every service account that uses IRSA, and what stands in its way.
data "podidentity_irsa_inventory" "this" {
  cluster_name = "demo"
}

# Only some of them; rights in these namespaces are enough.
data "podidentity_irsa_inventory" "payments" {
  cluster_name   = "demo"
  namespaces     = ["payments"]
  label_selector = "tier!=test"
}

# For a comment on a pull request: `terraform output -raw report`.
output "report" {
  value = data.podidentity_irsa_inventory.this.report_markdown
}

# What a first wave would take: a `for_each` for podidentity_irsa_migration.
output "wave1" {
  value = {
    for key, account in data.podidentity_irsa_inventory.this.service_accounts : key => account.role_name
    if account.migratable && account.namespace == "payments"
  }
}

# What is blocked, and by what.
output "blocked" {
  value = {
    for key, account in data.podidentity_irsa_inventory.this.service_accounts : key => account.blockers[*].code
    if length(account.blockers) > 0
  }
}
