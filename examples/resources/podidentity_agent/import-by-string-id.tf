import {
  to = podidentity_agent.this
  id = "demo"
}
