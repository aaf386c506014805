//! The provider's `kubernetes` block. Names as in `hashicorp/kubernetes`.

use std::collections::BTreeMap;

use crate::framework::model::Attr;

crate::model! {
    /// How the Kubernetes API is reached. All null: ask EKS for endpoint and CA and sign a token ourselves.
    pub struct KubernetesConfig {
        /// URL of the API server.
        pub host: Attr<String>,
        /// PEM certificates of its CA.
        pub cluster_ca_certificate: Attr<String>,
        /// Bearer token.
        pub token: Attr<String>,
        /// PEM client certificate.
        pub client_certificate: Attr<String>,
        /// PEM key of the client certificate.
        pub client_key: Attr<String>,
        /// A kubeconfig file.
        pub config_path: Attr<String>,
        /// Several kubeconfig files, merged as kubectl does.
        pub config_paths: Attr<Vec<Attr<String>>>,
        /// The kubeconfig context.
        pub config_context: Attr<String>,
        /// Name expected in the server's certificate.
        pub tls_server_name: Attr<String>,
        /// Whether the server's certificate goes unchecked.
        pub insecure: Attr<bool>,
        /// Proxy for requests to the API server.
        pub proxy_url: Attr<String>,
        /// A command that prints credentials.
        pub exec: Attr<ExecConfig>,
    }
}

crate::model! {
    /// A credential plugin, as in a kubeconfig's `exec`.
    pub struct ExecConfig {
        /// `client.authentication.k8s.io/v1` or `…/v1beta1`.
        pub api_version: Attr<String>,
        /// The command.
        pub command: Attr<String>,
        /// Its arguments.
        pub args: Attr<Vec<Attr<String>>>,
        /// Its environment.
        pub env: Attr<BTreeMap<String, Attr<String>>>,
    }
}

impl KubernetesConfig {
    /// Whether EKS is to be asked for endpoint and CA.
    #[must_use]
    pub fn asks_eks(&self) -> bool {
        self.host.is_null() && self.config_path.is_null() && self.config_paths.is_null()
    }

    /// Whether anything in the block is unknown.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        use crate::framework::model::IntoValue as _;
        !self.clone().into_value().is_wholly_known()
    }
}
