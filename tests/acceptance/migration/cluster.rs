//! Clusters to migrate.

use serde_json::{Map, Value, json};

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const ISSUER: &str =
    "oidc.eks.us-east-1.amazonaws.com/id/0A1B2C3D4E5F60718293A4B5C6D7E8F9";
/// The issuer of another cluster.
pub(super) const OTHER_ISSUER: &str =
    "oidc.eks.us-east-1.amazonaws.com/id/FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF";
pub(super) const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";

/// A seed under construction: the cluster `demo`, with an OIDC provider, two nodes and the agent.
#[derive(Clone)]
pub(super) struct Cluster {
    roles: Vec<Value>,
    iam: Map<String, Value>,
    objects: Vec<Value>,
    fields: Map<String, Value>,
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("not an object: {value}");
    };
    map
}

/// ARN of a role in the default account.
pub(super) fn arn(role: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{role}")
}

/// A subject as tokens have it.
pub(super) fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The provider's ARN.
pub(super) fn provider(issuer: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}")
}

/// A statement that trusts a subject, or a list of them, as IRSA does.
pub(super) fn irsa(subjects: impl Into<Value>) -> Value {
    irsa_by("StringEquals", subjects)
}

/// As [`irsa`], with another operator on the subject.
pub(super) fn irsa_by(operator: &str, subjects: impl Into<Value>) -> Value {
    let mut condition = json!({"StringEquals": {format!("{ISSUER}:aud"): "sts.amazonaws.com"}});
    condition[operator][format!("{ISSUER}:sub")] = subjects.into();
    json!({
        "Effect": "Allow",
        "Principal": {"Federated": provider(ISSUER)},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    })
}

/// A statement that trusts EKS Pod Identity, with these conditions if any.
pub(super) fn pods(sid: &str, condition: Option<Value>) -> Value {
    let mut statement = json!({
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    statement
}

impl Cluster {
    /// Without any service account yet.
    pub(super) fn empty() -> Self {
        Self {
            roles: Vec::new(),
            iam: Map::new(),
            objects: Vec::new(),
            fields: map(json!({
                "issuer": format!("https://{ISSUER}"),
                "addons": [{"name": "eks-pod-identity-agent"}],
                "nodes": [{"name": "node-1"}, {"name": "node-2"}],
            })),
        }
    }

    /// With the role `payments-api`, the service account `payments/api` that is trusted by it, and a Deployment of two pods.
    pub(super) fn plain() -> Self {
        Self::with_statements(json!([irsa(subject("payments", "api"))]))
    }

    /// As [`plain`](Self::plain), with these statements in the trust policy.
    pub(super) fn with_statements(statements: Value) -> Self {
        Self::empty()
            .role("payments-api", statements)
            .service_account("payments", "api", &arn("payments-api"))
            .workload("Deployment", "payments", "api", "api", 2)
    }

    /// A role; the statements may be one object.
    pub(super) fn role(self, name: &str, statements: Value) -> Self {
        self.role_with(
            name,
            json!({"Version": "2012-10-17", "Statement": statements}),
            json!({}),
        )
    }

    /// A role with a whole trust policy, and further fields such as `Path`.
    pub(super) fn role_with(mut self, name: &str, document: Value, more: Value) -> Self {
        let mut role = json!({
            "RoleName": name,
            "AssumeRolePolicyDocument": document,
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"],
        });
        for (field, value) in map(more) {
            role[field] = value;
        }
        self.roles.push(role);
        self
    }

    /// Another section of IAM, such as `Quotas`.
    pub(super) fn iam(mut self, section: &str, value: Value) -> Self {
        self.iam.insert(section.into(), value);
        self
    }

    /// A field of the cluster's seed, in place of what it was.
    pub(super) fn set(mut self, field: &str, value: Value) -> Self {
        self.fields.insert(field.into(), value);
        self
    }

    /// Without a field of the cluster's seed.
    pub(super) fn unset(mut self, field: &str) -> Self {
        self.fields.remove(field);
        self
    }

    /// An object of any kind.
    pub(super) fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    /// A service account with a role annotation.
    pub(super) fn service_account(self, namespace: &str, name: &str, role: &str) -> Self {
        self.object(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"namespace": namespace, "name": name, "annotations": {ROLE_ARN: role}},
        }))
    }

    /// A workload; `replicas` matters to Deployments and StatefulSets.
    pub(super) fn workload(
        self,
        kind: &str,
        namespace: &str,
        name: &str,
        service_account: &str,
        replicas: u32,
    ) -> Self {
        self.object(workload(kind, namespace, name, service_account, replicas))
    }

    /// Changes the last object.
    pub(super) fn change(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(self.objects.last_mut().expect("there is an object"));
        self
    }

    /// Changes the pod template of the last object.
    pub(super) fn template(self, change: impl FnOnce(&mut Value)) -> Self {
        self.change(|object| {
            let path = match object["kind"].as_str() {
                Some("CronJob") => "/spec/jobTemplate/spec/template",
                Some("Pod") => "",
                _ => "/spec/template",
            };
            change(object.pointer_mut(path).expect("it has a template"));
        })
    }

    /// The seed.
    pub(super) fn seed(&self) -> Value {
        let mut iam = self.iam.clone();
        let providers = json!([ISSUER, OTHER_ISSUER].map(|issuer| json!({
            "Url": format!("https://{issuer}"),
            "ClientIDList": ["sts.amazonaws.com"],
            "ThumbprintList": ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"],
        })));
        iam.entry("OpenIDConnectProviders").or_insert(providers);
        iam.insert("Roles".into(), self.roles.clone().into());
        let mut cluster = self.fields.clone();
        cluster.entry("name").or_insert("demo".into());
        cluster.insert("objects".into(), self.objects.clone().into());
        json!({"iam": iam, "clusters": [cluster]})
    }
}

/// A workload of one container.
pub(super) fn workload(
    kind: &str,
    namespace: &str,
    name: &str,
    service_account: &str,
    replicas: u32,
) -> Value {
    let labels = json!({"app": name});
    let spec = json!({
        "serviceAccountName": service_account,
        "containers": [{"name": "app", "image": "registry.example/app:1.0"}],
    });
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let mut ending = template.clone();
    ending["spec"]["restartPolicy"] = "Never".into();
    let api_version = match kind {
        "Pod" => "v1",
        "Job" | "CronJob" => "batch/v1",
        _ => "apps/v1",
    };
    let spec = match kind {
        "Pod" => spec,
        "Job" => json!({"template": ending}),
        "CronJob" => {
            json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": ending}}})
        }
        _ => json!({"selector": {"matchLabels": labels}, "template": template}),
    };
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    });
    match kind {
        "Deployment" => object["spec"]["replicas"] = replicas.into(),
        "StatefulSet" => {
            object["spec"]["replicas"] = replicas.into();
            object["spec"]["serviceName"] = name.into();
        }
        "Pod" => object["metadata"]["labels"] = labels,
        _ => {}
    }
    object
}
