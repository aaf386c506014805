//! One TLS port per cluster, as each EKS cluster has its own address.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc::UnboundedSender;

use crate::eks::cluster::ClusterKey;

/// Opens ports for clusters and remembers them; a cluster that is created anew gets its old port back.
#[derive(Clone)]
pub(crate) struct Endpoints {
    /// Where the server takes new listeners from.
    sender: UnboundedSender<(ClusterKey, TcpListener)>,
    /// Address of the next cluster; its port is used once, then any free one.
    listen: SocketAddr,
    ca_pem: String,
    open: BTreeMap<ClusterKey, SocketAddr>,
}

impl Endpoints {
    pub(crate) const fn new(
        sender: UnboundedSender<(ClusterKey, TcpListener)>,
        listen: SocketAddr,
        ca_pem: String,
    ) -> Self {
        Self {
            sender,
            listen,
            ca_pem,
            open: BTreeMap::new(),
        }
    }

    /// PEM of the authority that signed every cluster's certificate.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The CA as `certificateAuthority.data` has it.
    pub(crate) fn ca_data(&self) -> String {
        STANDARD.encode(&self.ca_pem)
    }

    /// URL of the cluster's Kubernetes API, opening its port if need be.
    pub(crate) fn open(&mut self, key: &ClusterKey) -> io::Result<String> {
        let address = match self.open.get(key) {
            Some(address) => *address,
            None => {
                let listener = TcpListener::bind(self.listen)?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                self.listen.set_port(0);
                self.open.insert(key.clone(), address);
                // The receiver is gone only while the sandbox stops.
                let _ = self.sender.send((key.clone(), listener));
                address
            }
        };
        Ok(format!("https://{address}"))
    }
}
