//! Whether the provider looks where a migration was made: with the credentials of another account, or in another region, a
//! cluster is missing, or is another one of the same name.

use crate::framework::Context;
use crate::framework::diagnostic::Diagnostic;
use crate::policy::ClusterArn;
use crate::provider::ProviderData;

use super::schema::Migration;
use super::unit::Unit;

const ELSEWHERE: &str = "Migration of a cluster elsewhere";

/// Stops if the cluster of a state is not the one that was found, or cannot be the one that was not.
pub(super) async fn refuse_other(
    context: &Context<ProviderData>,
    prior: &Migration,
    unit: &Unit,
    found: Option<&str>,
) -> Result<(), Diagnostic> {
    let Some(expected) = prior
        .cluster_arn
        .as_deref()
        .and_then(|arn| ClusterArn::parse(arn).ok())
    else {
        return Ok(());
    };
    let elsewhere = match found.map(ClusterArn::parse) {
        Some(Ok(found)) => (found != expected).then(|| format!("finds {found} under that name")),
        Some(Err(_)) => None,
        None => {
            let region = context.provider.region().ok();
            let region = region.filter(|region| *region != expected.region);
            // Who may not ask who he is gets the benefit of the doubt.
            let account = context.provider.account_id(&context.cancel).await.ok();
            let account = account.filter(|account| *account != expected.account);
            match (region, account) {
                (None, None) => None,
                (Some(region), None) => Some(format!("works in the region {region}")),
                (None, Some(account)) => Some(format!("works in the account {account}")),
                (Some(region), Some(account)) => Some(format!(
                    "works in the region {region} and the account {account}"
                )),
            }
        }
    };
    match elsewhere {
        None => Ok(()),
        Some(elsewhere) => Err(Diagnostic::error(
            ELSEWHERE,
            format!(
                "The migration of the {} was made on {expected}, but the provider {elsewhere}. Nothing was changed.\n\nUse the \
                 credentials and the region of that cluster.",
                unit.inside()
            ),
        )),
    }
}
