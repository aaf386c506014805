//! Who manages a Kubernetes object: Helm, Argo CD, Flux, Terraform, an EKS add-on, judged by labels, annotations and managed fields.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use super::facts::{Owner, Tool};

/// How field managers of this provider begin. What it wrote itself says nothing about who owns an object.
const OURSELVES: &str = "terraform-provider-podidentity";

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const HELM_RELEASE: &str = "meta.helm.sh/release-name";
const ARGO_CD_TRACKING: &str = "argocd.argoproj.io/tracking-id";
const INSTANCE: &str = "app.kubernetes.io/instance";

/// Flux marks what it applies with the name of the object that says so.
const FLUX: [(&str, &str); 2] = [
    ("kustomize.toolkit.fluxcd.io/name", "kustomization"),
    ("helm.toolkit.fluxcd.io/name", "Helm release"),
];

/// Who put an annotation on an object, and would do so again; `None` if nothing tells.
///
/// What tools say of themselves comes first, as it names the release or application: labels of Flux, whose Helm releases carry
/// Helm's annotations as well, then those of Helm and Argo CD. After that the managers of the annotation's field, then those
/// of any other field where they are Terraform's.
#[must_use]
pub fn owner(meta: &ObjectMeta, annotation: &str) -> Option<Owner> {
    marked(meta).or_else(|| manager_of(meta, annotation))
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation_of<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn owned(tool: Tool, name: impl Into<String>) -> Owner {
    Owner {
        tool,
        name: name.into(),
    }
}

/// What tools write onto the objects that they manage.
fn marked(meta: &ObjectMeta) -> Option<Owner> {
    for (key, kind) in FLUX {
        if let Some(name) = label(meta, key) {
            return Some(owned(Tool::Flux, format!("{kind} {name}")));
        }
    }
    // Charts set the label themselves, also when others render them; only Helm adds the release's name.
    if label(meta, MANAGED_BY) == Some("Helm")
        && let Some(release) = annotation_of(meta, HELM_RELEASE)
    {
        return Some(owned(Tool::Helm, release));
    }
    if let Some(application) = tracked_by_argo_cd(meta) {
        return Some(owned(Tool::ArgoCd, application));
    }
    // The older way of Argo CD: a label that others use as well, so its field manager has to be there too.
    if let Some(instance) = label(meta, INSTANCE)
        && managers(meta).any(is_argo_cd)
    {
        return Some(owned(Tool::ArgoCd, instance));
    }
    let eksctl = |labels: &std::collections::BTreeMap<String, String>| {
        labels.keys().any(|key| key.starts_with("alpha.eksctl.io/"))
    };
    if label(meta, MANAGED_BY) == Some("eksctl")
        || meta.labels.as_ref().is_some_and(eksctl)
        || meta.annotations.as_ref().is_some_and(eksctl)
    {
        return Some(owned(Tool::Eksctl, "eksctl"));
    }
    None
}

/// The application in `<application>:<group>/<kind>:<namespace>/<name>`. One that is about another object was copied with the
/// annotations of that, and Argo CD does not care for it.
fn tracked_by_argo_cd(meta: &ObjectMeta) -> Option<&str> {
    let (application, rest) = annotation_of(meta, ARGO_CD_TRACKING)?.split_once(':')?;
    let (_, object) = rest.split_once(':')?;
    let name = object.split_once('/').map_or(object, |(_, name)| name);
    (meta.name.as_deref() == Some(name)).then_some(application)
}

fn entries(meta: &ObjectMeta) -> impl Iterator<Item = (&str, &ManagedFieldsEntry)> {
    meta.managed_fields
        .iter()
        .flatten()
        .filter_map(|entry| Some((entry.manager.as_deref()?, entry)))
        .filter(|(manager, _)| !manager.starts_with(OURSELVES))
}

fn managers(meta: &ObjectMeta) -> impl Iterator<Item = &str> {
    entries(meta).map(|(manager, _)| manager)
}

fn is_argo_cd(manager: &str) -> bool {
    manager.starts_with("argocd")
}

fn is_terraform(manager: &str) -> bool {
    let manager = manager.to_ascii_lowercase();
    manager.starts_with("terraform") || manager.starts_with("hashicorp")
}

/// Whoever owns the annotation's field; the tool that is most likely to put it back, if there are several.
fn manager_of(meta: &ObjectMeta, annotation: &str) -> Option<Owner> {
    let pointer = format!(
        "/f:metadata/f:annotations/f:{}",
        annotation.replace('~', "~0").replace('/', "~1")
    );
    entries(meta)
        .filter(|(_, entry)| {
            entry
                .fields_v1
                .as_ref()
                .is_some_and(|fields| fields.0.pointer(&pointer).is_some())
        })
        .map(|(manager, _)| classify(meta, manager))
        .min_by_key(|owner| owner.tool)
        .or_else(|| {
            managers(meta)
                .find(|manager| is_terraform(manager))
                .map(|manager| owned(Tool::Terraform, manager))
        })
}

fn classify(meta: &ObjectMeta, manager: &str) -> Owner {
    let tool = match manager {
        "helm" | "Helm" => Tool::Helm,
        "kustomize-controller" | "helm-controller" => Tool::Flux,
        "eks" => Tool::EksAddon,
        "eksctl" => Tool::Eksctl,
        _ if is_argo_cd(manager) => Tool::ArgoCd,
        _ if is_terraform(manager) => Tool::Terraform,
        _ => Tool::Other,
    };
    let name = match tool {
        Tool::Helm => annotation_of(meta, HELM_RELEASE).or_else(|| label(meta, INSTANCE)),
        Tool::ArgoCd => label(meta, INSTANCE),
        _ => None,
    };
    owned(tool, name.unwrap_or(manager))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::migration::facts::ROLE_ARN;

    fn field(manager: &str, annotation: &str) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, format!("f:{annotation}"): {}}}}})
    }

    #[test]
    fn owners() {
        let role = |manager| field(manager, ROLE_ARN);
        let cases = [
            ("nothing", json!({}), None),
            (
                "Helm",
                json!({"labels": {MANAGED_BY: "Helm"}, "annotations": {HELM_RELEASE: "dns"}}),
                Some((Tool::Helm, "dns")),
            ),
            (
                "a chart that somebody else rendered",
                json!({"labels": {MANAGED_BY: "Helm"}, "managedFields": [role("kubectl-client-side-apply")]}),
                Some((Tool::Other, "kubectl-client-side-apply")),
            ),
            (
                "Flux's Helm release",
                json!({"labels": {MANAGED_BY: "Helm", "helm.toolkit.fluxcd.io/name": "dns"}, "annotations": {HELM_RELEASE: "dns"}}),
                Some((Tool::Flux, "Helm release dns")),
            ),
            (
                "Flux's kustomization",
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}),
                Some((Tool::Flux, "kustomization apps")),
            ),
            (
                "Argo CD by annotation",
                json!({"annotations": {ARGO_CD_TRACKING: "shop:/ServiceAccount:orders/web"}}),
                Some((Tool::ArgoCd, "shop")),
            ),
            (
                "Argo CD's annotation, copied from another object",
                json!({"annotations": {ARGO_CD_TRACKING: "shop:apps/Deployment:orders/api"}}),
                None,
            ),
            (
                "Argo CD by label",
                json!({"labels": {INSTANCE: "shop"}, "managedFields": [role("argocd-controller")]}),
                Some((Tool::ArgoCd, "shop")),
            ),
            (
                "the label alone is no sign of Argo CD",
                json!({"labels": {INSTANCE: "shop"}}),
                None,
            ),
            (
                "eksctl by label",
                json!({"labels": {MANAGED_BY: "eksctl"}, "managedFields": [role("eksctl")]}),
                Some((Tool::Eksctl, "eksctl")),
            ),
            (
                "eksctl by field",
                json!({"managedFields": [role("eksctl")]}),
                Some((Tool::Eksctl, "eksctl")),
            ),
            (
                "an EKS add-on, whose objects look as if Helm had made them",
                json!({"labels": {MANAGED_BY: "Helm", INSTANCE: "aws-vpc-cni"}, "managedFields": [role("eks")]}),
                Some((Tool::EksAddon, "eks")),
            ),
            (
                "Terraform by field",
                json!({"managedFields": [role("Terraform")]}),
                Some((Tool::Terraform, "Terraform")),
            ),
            (
                "Terraform by another field",
                json!({"managedFields": [field("HashiCorp", "other")]}),
                Some((Tool::Terraform, "HashiCorp")),
            ),
            (
                "Terraform by another field, but somebody else wrote the annotation",
                json!({"managedFields": [field("HashiCorp", "other"), role("kubectl-annotate")]}),
                Some((Tool::Other, "kubectl-annotate")),
            ),
            (
                "of two managers the tool that comes back",
                json!({"managedFields": [role("kubectl-annotate"), role("helm")], "annotations": {HELM_RELEASE: "dns"}}),
                Some((Tool::Helm, "dns")),
            ),
            (
                "another annotation",
                json!({"managedFields": [field("kubectl-annotate", "other")]}),
                None,
            ),
            (
                "ourselves",
                json!({"managedFields": [role("terraform-provider-podidentity")]}),
                None,
            ),
        ];
        for (what, mut meta, expected) in cases {
            meta["name"] = "web".into();
            meta["namespace"] = "orders".into();
            let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
            let expected = expected.map(|(tool, name)| owned(tool, name));
            assert_eq!(owner(&meta, ROLE_ARN), expected, "{what}");
        }
    }
}
