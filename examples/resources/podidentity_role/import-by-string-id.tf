import {
  to = podidentity_role.payments
  id = "payments"
}
