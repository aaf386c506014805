import {
  to = podidentity_association.payments
  id = "demo,a-0123456789abcdef0"
}
