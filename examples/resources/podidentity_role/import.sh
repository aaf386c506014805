# The name of the role.
terraform import podidentity_role.payments payments
