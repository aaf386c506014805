# Cluster name, namespace and service account.
terraform import podidentity_irsa_migration.orders demo,orders,web
