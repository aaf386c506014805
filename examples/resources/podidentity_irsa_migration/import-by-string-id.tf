import {
  to = podidentity_irsa_migration.orders
  id = "demo,orders,web"
}
