//! Whether a cluster is ready for Pod Identity: versions, agent, nodes, Fargate.
//!
//! [`cluster`] reads, [`reasons`] judges. What may not be read becomes `None` and a sentence in
//! [`ClusterFacts::not_read`], so that a pipeline with rights in its own namespace alone still gets as far as it can.

mod planned;
mod read;
mod rules;
mod settled;

use std::sync::Arc;

use crate::aws::{AwsError, AwsErrorKind};
use crate::framework::{Context, Diagnostic};
use crate::provider::ProviderData;

use super::facts::ClusterFacts;

pub use planned::PlannedAgents;
use rules::nodes_waiting_for_agent;
pub use rules::{hybrid_nodes, nodes_needing_agent, nodes_without_agent, reasons};
pub use settled::{Latest, settled};

/// Name of the agent's add-on and DaemonSet, and its label `app.kubernetes.io/name`.
pub const AGENT: &str = "eks-pod-identity-agent";

const READING: &str = "Reading EKS cluster";

/// What a cluster offers to Pod Identity, asked once per name and process.
///
/// # Errors
/// When the cluster cannot be read, AWS fails otherwise than by refusing, or Terraform asked to stop.
pub async fn cluster(
    context: &Context<ProviderData>,
    name: &str,
) -> Result<Arc<ClusterFacts>, Diagnostic> {
    context
        .provider
        .readiness()
        .get(name.to_owned(), || async {
            let facts = read::cluster(context, name).await?;
            context.provider.latest_readiness().put(name, &facts);
            Ok(facts)
        })
        .await
        .map_err(|error| diagnostic(name, &error))
}

/// Forgets what is known of a cluster, because a write changed its agent.
pub fn forget(provider: &ProviderData, name: &str) {
    provider.readiness().forget(&name.to_owned());
    provider.latest_readiness().forget(name);
}

/// [`cluster`], asked anew; the answer is kept. For whatever runs after a change of the agent.
///
/// # Errors
/// As [`cluster`].
pub async fn cluster_now(
    context: &Context<ProviderData>,
    name: &str,
) -> Result<Arc<ClusterFacts>, Diagnostic> {
    let facts = read::cluster(context, name)
        .await
        .map_err(|error| diagnostic(name, &error))?;
    let provider = &context.provider;
    provider
        .readiness()
        .put(name.to_owned(), Arc::clone(&facts));
    provider.latest_readiness().put(name, &facts);
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
        let ask = async |name: &str| {
            let answer = provider.readiness().get(name.to_owned(), || async {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(Arc::default())
            });
            answer.await.map(drop).unwrap();
            asked.load(Ordering::Relaxed)
        };
        assert_eq!(ask("demo").await, 1);
        assert_eq!(ask("other").await, 2);
        assert_eq!(ask("demo").await, 2);
        forget(&provider, "demo");
        assert_eq!(ask("demo").await, 3);
        assert_eq!(ask("other").await, 3);
    }
}
