# The name of the cluster.
terraform import podidentity_agent.this demo
