//! `wait_for_injection`: an association is created, and then waited for until pods get its credentials.

use std::sync::Arc;

use crate::cty::Path;
use crate::framework::diagnostic::{Diagnostic, Severity};
use crate::framework::{Context, Diagnostics};
use crate::kubernetes::ClusterApi;
use crate::migration::steps::injection::{self, Expected, Propagation};
use crate::provider::ProviderData;

use super::api::Wanted;
use super::schema::Association;

const ATTRIBUTE: &str = "wait_for_injection";
const NOT_POSSIBLE: &str = "Injection of credentials cannot be seen";
const NOT_SEEN: &str = "EKS Pod Identity association not seen in effect";

/// A wait that is possible.
pub(super) struct InjectionWait {
    api: Arc<ClusterApi>,
    namespace: String,
    service_account: String,
    propagation: Propagation,
}

/// Asks once, before anything is created, what a new pod would get; `None` if nobody wants to wait.
///
/// What makes the wait impossible (a cluster that cannot be reached, a right that is missing, a policy that refuses the
/// pod, a service account that does not exist) is an error while there is nothing yet that an error could harm.
pub(super) async fn prepare(
    context: &Context<ProviderData>,
    plan: &Association,
    wanted: &Wanted,
) -> Result<Option<InjectionWait>, Diagnostic> {
    let Some(settings) = plan.wait_for_injection.known() else {
        return Ok(None);
    };
    let object = format!(
        "{} was not associated: {ATTRIBUTE} asks to see what its new pods get, and that is not possible.",
        wanted.describe()
    );
    let next =
        format!("Mend that, or leave out {ATTRIBUTE} to create the association without waiting.");
    let at = |diagnostic: Diagnostic| diagnostic.at(Path::from(ATTRIBUTE));
    let api = context
        .provider
        .kubernetes_api(&context.cancel, &wanted.cluster)
        .await
        .map_err(|error| at(error.into_diagnostic(NOT_POSSIBLE, &object, &next)))?;
    let wait = InjectionWait {
        api,
        namespace: wanted.namespace.clone(),
        service_account: wanted.service_account.clone(),
        propagation: settings.resolve(),
    };
    injection::probe(
        &context.cancel,
        &wait.api,
        &wait.namespace,
        &wait.service_account,
    )
    .await
    .map_err(|error| at(error.into_diagnostic(NOT_POSSIBLE, &object, &next)))?;
    Ok(Some(wait))
}

impl InjectionWait {
    /// Waits until new pods get the association's credentials.
    ///
    /// If that is not seen, it is a warning: Terraform marks an object whose creation ends with an error as tainted, and the
    /// next apply would delete it and create it again. That would take credentials from the pods that have them by then,
    /// and start over what takes so long.
    pub(super) async fn wait(
        &self,
        context: &Context<ProviderData>,
        id: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let seen = injection::wait(
            &context.cancel,
            &self.api,
            &self.namespace,
            &self.service_account,
            &Expected::PodIdentity,
            &self.propagation,
        )
        .await;
        match seen {
            Ok(proof) => tracing::info!(
                association_id = id,
                dry_run_pods = proof.asked,
                "in effect after {:?}",
                proof.waited
            ),
            Err(error) => {
                let mut diagnostic = error
                    .into_diagnostic(
                        NOT_SEEN,
                        &format!(
                            "The association {id} exists, but new pods of the service account {:?} in the namespace {:?} \
                             may not get its credentials yet.",
                            self.service_account, self.namespace
                        ),
                        "The association stays as it is, and nothing has to be applied again. Pods that were created too \
                         early go on without its credentials until they are restarted.",
                    )
                    .at(Path::from(ATTRIBUTE));
                diagnostic.severity = Severity::Warning;
                diagnostics.push(diagnostic);
            }
        }
    }
}
