//! Who manages a Kubernetes object: Helm, Argo CD, Flux, Terraform, judged by labels, annotations and managed fields.
