# Cluster name and association id.
terraform import podidentity_association.payments demo,a-0123456789abcdef0
