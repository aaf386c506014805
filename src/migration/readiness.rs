//! Whether a cluster is ready for Pod Identity: versions, agent, nodes, Fargate.
