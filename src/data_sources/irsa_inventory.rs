//! `podidentity_irsa_inventory`: which service accounts use IRSA, and how far each is on its way to Pod Identity.
//!
//! | module | what it does |
//! |---|---|
//! | this one | reads: the cluster, what is in it, its associations, the roles |
//! | [`survey`] | judges, without I/O |
//! | [`report`], [`markdown`] | the report for a pull request |
//! | [`schema`] | schema and values |
//!
//! What is read depends on what was: the annotations name the roles. Everything else runs at the same time, within limits.

mod markdown;
mod report;
mod schema;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ServiceAccount;

use crate::aws::AwsError;
use crate::cty::Path;
use crate::framework::data_source::{DataSource, ReadDataSourceRequest, ReadDataSourceResponse};
use crate::framework::model::{Attr, FromValue as _, IntoValue as _};
use crate::framework::schema::Schema;
use crate::framework::{Context, Diagnostic};
use crate::kubernetes::{KubernetesErrorKind, Scope};
use crate::migration::facts::{AssociationFacts, ClusterFacts, RoleFacts};
use crate::migration::readiness;
use crate::migration::steps::association::{self, AssociationSummary};
use crate::migration::{gather, roles};
use crate::provider::ProviderData;
use crate::resources::cluster_name;

use schema::Model;
use survey::{Facts, Inventory, Key, Namespaces, Selection};

const READING: &str = "Reading the IRSA inventory";

/// Roles, or namespaces, read at the same time. IAM has one limit for all callers of an account, so this stays well below it.
const CONCURRENT: usize = 10;

/// The data source.
#[derive(Clone, Copy, Debug, Default)]
pub struct IrsaInventoryDataSource;

#[async_trait]
impl DataSource<ProviderData> for IrsaInventoryDataSource {
    fn type_name(&self) -> &'static str {
        "podidentity_irsa_inventory"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    async fn read(
        &self,
        context: &Context<ProviderData>,
        request: ReadDataSourceRequest,
        response: &mut ReadDataSourceResponse,
    ) {
        let result = async {
            let mut model = Model::from_value(&request.config, &Path::root())?;
            let default = context.provider.default_cluster_name();
            let name = cluster_name::of_data_source(&request.config, &default)?;
            let (cluster, inventory) = read(context, &name, &model).boxed().await?;
            model.fill(&cluster, &inventory);
            Ok(model)
        };
        match result.await {
            Ok(model) => response.state = model.into_value(),
            Err(diagnostic) => response.diagnostics.push(diagnostic),
        }
    }
}

async fn read(
    context: &Context<ProviderData>,
    name: &str,
    model: &Model,
) -> Result<(Arc<ClusterFacts>, Inventory), Diagnostic> {
    let mut selection = Selection {
        namespaces: model
            .namespaces
            .known()
            .map(|names| names.0.iter().cloned().collect()),
        labelled: None,
    };
    // Everything else needs the cluster; that there is none is best said by what is about it.
    if context
        .provider
        .cluster(&context.cancel, name)
        .await
        .is_err()
    {
        cluster_now(context, name).await?;
    }
    // Boxed, because the compiler computes how large a future is through all that it awaits, and gives up on these.
    let summaries = async {
        association::list(context, name)
            .await
            .map_err(|error| associations_failed(name, &error))
    }
    .boxed();
    let (cluster, namespaces, labelled, summaries) = tokio::try_join!(
        cluster_now(context, name).boxed(),
        namespaces(context, name, selection.namespaces.as_ref()).boxed(),
        labelled(context, name, model, selection.namespaces.as_ref()).boxed(),
        summaries,
    )?;
    selection.labelled = labelled;
    let associations = associations(context, name, &selection, &summaries)
        .boxed()
        .await?;

    let names = survey::role_names(&namespaces, &associations, &selection);
    let roles = roles(context, &cluster, names).boxed().await;
    if context.cancel.is_cancelled() {
        return Err(Diagnostic::error(
            READING,
            "Terraform was asked to stop before everything was read.",
        ));
    }
    let roles = roles?;
    let trust_quota = roles::trust_quota(context, roles.values()).await;
    let principal = context.provider.service_principal();
    let inventory = survey::take(
        &Facts {
            cluster: &cluster,
            namespaces: &namespaces,
            roles: &roles,
            associations: &associations,
            associations_in_cluster: Some(summaries.len()),
            trust_quota,
            service_principal: principal.as_deref(),
        },
        &selection,
    );
    Ok((cluster, inventory))
}

/// The cluster, asked anew: what this data source depends on may have changed it in this very run.
async fn cluster_now(
    context: &Context<ProviderData>,
    name: &str,
) -> Result<Arc<ClusterFacts>, Diagnostic> {
    readiness::cluster_now(context, name)
        .await
        .map_err(|diagnostic| diagnostic.at(cluster_name::NAME))
}

/// What the namespaces hold: lists over the whole cluster, or, where only some are asked for, over each of those. Without regard to
/// labels, which say nothing of who else uses a role.
async fn namespaces(
    context: &Context<ProviderData>,
    cluster: &str,
    selected: Option<&BTreeSet<String>>,
) -> Result<Namespaces, Diagnostic> {
    gather::cluster_wide(context, cluster, selected)
        .await
        .map_err(|error| {
            let object = format!(
                "What runs in the EKS cluster {cluster:?} could not be listed, and without that nobody can tell what uses IRSA."
            );
            let next = if selected.is_none() && error.is_forbidden() {
                "Allow it, or set namespaces to those in which it is allowed."
            } else {
                ""
            };
            error.into_diagnostic(READING, &object, next)
        })
}

/// The service accounts that match the label selector, which only the API can say for certain.
async fn labelled(
    context: &Context<ProviderData>,
    cluster: &str,
    model: &Model,
    selected: Option<&BTreeSet<String>>,
) -> Result<Option<BTreeSet<Key>>, Diagnostic> {
    let Attr::Known(selector) = &model.label_selector else {
        return Ok(None);
    };
    let failed = |error: crate::kubernetes::KubernetesError| {
        let next = if error.kind() == KubernetesErrorKind::Invalid {
            "Write label_selector as kubectl takes it, such as team=payments,tier!=test."
        } else {
            ""
        };
        error
            .into_diagnostic(
                READING,
                &format!("The service accounts of the EKS cluster {cluster:?} with the labels {selector:?} could not be listed."),
                next,
            )
            .at("label_selector")
    };
    let api = context
        .provider
        .kubernetes_api(&context.cancel, cluster)
        .await
        .map_err(failed)?;
    let api = api.as_ref();
    // `None` is the whole cluster.
    let scopes: Vec<Option<String>> = match selected {
        Some(names) => names.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let lists: Vec<Vec<ServiceAccount>> = stream::iter(scopes)
        .map(|namespace| async move {
            let scope = namespace
                .as_deref()
                .map_or(Scope::Cluster, Scope::Namespace);
            api.list(&context.cancel, scope, Some(selector)).await
        })
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await
        .map_err(failed)?;
    let keys = lists
        .into_iter()
        .flatten()
        .filter_map(|account| Some((account.metadata.namespace?, account.metadata.name?)))
        .collect();
    Ok(Some(keys))
}

/// The associations of what is asked for. Their tags tell which of them a migration created, so each is described. Without them nothing
/// can be said: a service account that is migrated would look as if it were not.
async fn associations(
    context: &Context<ProviderData>,
    cluster: &str,
    selection: &Selection,
    summaries: &[AssociationSummary],
) -> Result<BTreeMap<Key, AssociationFacts>, Diagnostic> {
    let mut keys: BTreeMap<String, Key> = summaries
        .iter()
        .filter(|summary| selection.has(&summary.namespace, &summary.service_account))
        .map(|summary| {
            let key = (summary.namespace.clone(), summary.service_account.clone());
            (summary.id.clone(), key)
        })
        .collect();
    let ids: Vec<String> = keys.keys().cloned().collect();
    let described = association::describe_all(context, cluster, ids)
        .await
        .map_err(|error| associations_failed(cluster, &error))?;
    Ok(described
        .into_iter()
        .filter_map(|(id, facts)| Some((keys.remove(&id)?, facts)))
        .collect())
}

fn associations_failed(cluster: &str, error: &AwsError) -> Diagnostic {
    error.into_diagnostic(
        READING,
        &format!("The Pod Identity associations of the EKS cluster {cluster:?} could not be read."),
        "",
    )
}

/// The roles by what names them. What may not be read is told of each role and does not end the rest. Any other failure does: what a
/// moment's trouble leaves out would be missing in a `for_each`.
async fn roles(
    context: &Context<ProviderData>,
    cluster: &ClusterFacts,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, RoleFacts>, Diagnostic> {
    stream::iter(names)
        .map(|name| async move {
            match roles::readable_role(context, &cluster.cluster, &name).await {
                Ok(role) => Ok((name, role)),
                Err(error) => Err(error.into_diagnostic(
                    READING,
                    &format!("The role {name} could not be read."),
                    "",
                )),
            }
        })
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await
}
