//! Whether a cluster is ready for Pod Identity: versions, agent, nodes, Fargate.
//!
//! [`cluster`] reads, [`reasons`] judges. What may not be read becomes `None` and a sentence in
//! [`ClusterFacts::not_read`], so that a pipeline with rights in its own namespace alone still gets as far as it can.

mod read;
mod rules;
mod settled;

use std::sync::Arc;

use crate::aws::{AwsError, AwsErrorKind};
use crate::framework::{Context, Diagnostic};
use crate::provider::ProviderData;

use super::facts::ClusterFacts;

pub use rules::{hybrid_nodes, nodes_needing_agent, nodes_without_agent, reasons};
pub use settled::{Latest, settled};

/// Name of the agent's add-on and DaemonSet, and its label `app.kubernetes.io/name`.
pub const AGENT: &str = "eks-pod-identity-agent";

const READING: &str = "Reading EKS cluster";

/// How much is asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Depth {
    /// What AWS knows: the cluster, the agent's add-on, Fargate profiles. An agent that is no add-on is not looked for.
    Aws,
    /// Also what Kubernetes knows (agent pods, nodes, the webhook), and IAM's OIDC providers.
    Full,
}

/// What a cluster offers to Pod Identity, asked once per name, depth and process.
///
/// # Errors
/// When the cluster cannot be read, AWS fails otherwise than by refusing, or Terraform asked to stop.
pub async fn cluster(
    context: &Context<ProviderData>,
    name: &str,
    depth: Depth,
) -> Result<Arc<ClusterFacts>, Diagnostic> {
    context
        .provider
        .readiness()
        .get((name.to_owned(), depth), || async {
            let facts = read::cluster(context, name, depth).await?;
            if depth == Depth::Full {
                context.provider.latest_readiness().put(name, &facts);
            }
            Ok(facts)
        })
        .await
        .map_err(|error| diagnostic(name, &error))
}

/// Forgets what is known of a cluster, because a write changed its agent.
pub fn forget(provider: &ProviderData, name: &str) {
    for depth in [Depth::Aws, Depth::Full] {
        provider.readiness().forget(&(name.to_owned(), depth));
    }
    provider.latest_readiness().forget(name);
}

/// [`cluster`], asked anew; the answer is kept. For whatever runs after a change of the agent.
///
/// # Errors
/// As [`cluster`].
pub async fn cluster_now(
    context: &Context<ProviderData>,
    name: &str,
    depth: Depth,
) -> Result<Arc<ClusterFacts>, Diagnostic> {
    let facts = read::cluster(context, name, depth)
        .await
        .map_err(|error| diagnostic(name, &error))?;
    context
        .provider
        .readiness()
        .put((name.to_owned(), depth), Arc::clone(&facts));
    if depth == Depth::Full {
        context.provider.latest_readiness().put(name, &facts);
    }
    Ok(facts)
}

fn diagnostic(name: &str, error: &AwsError) -> Diagnostic {
    if error.kind() == AwsErrorKind::NotFound {
        return error.into_diagnostic(
            "EKS cluster not found",
            &format!("There is no EKS cluster {name:?} in the account and region of the provider."),
            "Check the name, the provider's region and the account of its credentials.",
        );
    }
    error.into_diagnostic(
        READING,
        &format!("It cannot be told whether the EKS cluster {name:?} is ready for Pod Identity."),
        "",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::provider::data::Options;

    #[tokio::test]
    async fn what_is_forgotten_is_asked_again() {
        let provider = ProviderData::new(Err(Vec::new()), Options::default());
        let asked = AtomicUsize::new(0);
        let ask = async |name: &str, depth| {
            let key = (name.to_owned(), depth);
            let answer = provider.readiness().get(key, || async {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(Arc::default())
            });
            answer.await.map(drop).unwrap();
            asked.load(Ordering::Relaxed)
        };
        for depth in [Depth::Aws, Depth::Full] {
            ask("demo", depth).await;
            ask("other", depth).await;
        }
        assert_eq!(ask("demo", Depth::Full).await, 4);
        forget(&provider, "demo");
        assert_eq!(ask("demo", Depth::Aws).await, 5);
        assert_eq!(ask("demo", Depth::Full).await, 6);
        assert_eq!(ask("other", Depth::Full).await, 6);
    }
}
