//! The golden answers of a real API server, for every kind alike.

use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
static SA: &Kind = &KINDS[1];
const WRITE: Write<'static> = Write::by("test", NOW);
const DRY: Write<'static> = Write {
    dry_run: true,
    ..WRITE
};

fn store() -> Store {
    let mut store = Store::default();
    store
        .create(
            &KINDS[0],
            "",
            json!({"metadata": {"name": "payments"}}),
            &WRITE,
        )
        .unwrap();
    store
}

fn add(store: &mut Store, name: &str) -> Value {
    store
        .create(
            SA,
            "payments",
            json!({"metadata": {"name": name, "labels": {"app": name}}}),
            &WRITE,
        )
        .unwrap()
}

#[test]
fn creation_is_checked() {
    let mut store = store();
    add(&mut store, "api");
    let cases = [
        (
            "duplicate",
            "payments",
            json!({"metadata": {"name": "api"}}),
            409,
            "serviceaccounts \"api\" already exists",
        ),
        (
            "bad name",
            "payments",
            json!({"metadata": {"name": "Bad_Name"}}),
            422,
            "ServiceAccount \"Bad_Name\" is invalid: metadata.name: Invalid value",
        ),
        (
            "no name",
            "payments",
            json!({"metadata": {}}),
            422,
            "name or generateName is required",
        ),
        (
            "no namespace",
            "nowhere",
            json!({"metadata": {"name": "x"}}),
            404,
            "namespaces \"nowhere\" not found",
        ),
        (
            "other namespace",
            "payments",
            json!({"metadata": {"name": "x", "namespace": "default"}}),
            400,
            "does not match the namespace sent",
        ),
        (
            "other kind",
            "payments",
            json!({"kind": "Pod", "metadata": {"name": "x"}}),
            400,
            "expected ServiceAccount",
        ),
    ];
    for (name, namespace, object, code, message) in cases {
        let failure = store.create(SA, namespace, object, &WRITE).unwrap_err();
        assert_eq!(failure.code, code, "{name}");
        assert!(
            failure.message.contains(message),
            "{name}: {}",
            failure.message
        );
    }
    store
        .create(SA, "payments", json!({"metadata": {"name": "dry"}}), &DRY)
        .unwrap();
    assert_eq!(
        store.get(SA, "payments", "dry").unwrap_err().code,
        404,
        "a dry run stores nothing"
    );
    assert!(
        store.get(SA, "payments", "default").is_ok(),
        "every namespace has its default service account"
    );
}

#[test]
fn stale_writes_conflict_and_no_ops_do_nothing() {
    let mut store = store();
    let first = add(&mut store, "api");
    let annotate = |value: Value, version: &Value| {
        Patch::Merge(json!({"metadata": {"annotations": {"k": value}, "resourceVersion": version}}))
    };
    let version = &first["metadata"]["resourceVersion"];
    let second = store
        .patch(
            SA,
            "payments",
            "api",
            &annotate("v".into(), version),
            &WRITE,
        )
        .unwrap();
    assert_ne!(&second["metadata"]["resourceVersion"], version);
    let failure = store
        .patch(
            SA,
            "payments",
            "api",
            &annotate(Value::Null, version),
            &WRITE,
        )
        .unwrap_err();
    assert_eq!(
        failure.message,
        "Operation cannot be fulfilled on serviceaccounts \"api\": the object has been modified; please apply your changes to the latest version and try again"
    );
    assert_eq!(
        store
            .replace(SA, "payments", "api", first.clone(), &WRITE)
            .unwrap_err()
            .code,
        409
    );
    let again = store
        .patch(
            SA,
            "payments",
            "api",
            &annotate("v".into(), &Value::Null),
            &WRITE,
        )
        .unwrap();
    assert_eq!(
        again, second,
        "a patch that changes nothing keeps the version"
    );
    let gone = store
        .patch(
            SA,
            "payments",
            "api",
            &annotate(Value::Null, &second["metadata"]["resourceVersion"]),
            &WRITE,
        )
        .unwrap();
    assert_eq!(gone["metadata"].get("annotations"), None);
    let guarded = Patch::Json(vec![
        json!({"op": "remove", "path": "/metadata/annotations/k"}),
    ]);
    assert_eq!(
        store
            .patch(SA, "payments", "api", &guarded, &WRITE)
            .unwrap_err()
            .code,
        422
    );
    assert_eq!(
        store
            .delete(
                SA,
                "payments",
                "api",
                &json!({"preconditions": {"uid": "other"}}),
                &WRITE
            )
            .unwrap_err()
            .code,
        409
    );
    assert_eq!(
        store
            .delete(SA, "payments", "api", &json!({}), &WRITE)
            .unwrap()["kind"],
        "ServiceAccount"
    );
}

#[test]
fn pages_show_one_moment() {
    let mut store = store();
    for n in 0..120 {
        add(&mut store, &format!("sa-{n:03}"));
    }
    let mut selection = Selection {
        namespace: "payments".into(),
        limit: 50,
        ..Selection::default()
    };
    let first = store.list(SA, &selection).unwrap();
    assert_eq!(
        (
            first["items"].as_array().unwrap().len(),
            &first["metadata"]["remainingItemCount"]
        ),
        (50, &json!(71))
    );
    store
        .delete(SA, "payments", "sa-119", &json!({}), &WRITE)
        .unwrap();
    let mut names = 50;
    let mut last = first.clone();
    while let Some(token) = last["metadata"]["continue"].as_str() {
        selection.continuation = token.into();
        last = store.list(SA, &selection).unwrap();
        names += last["items"].as_array().unwrap().len();
        assert_eq!(
            last["metadata"]["resourceVersion"],
            first["metadata"]["resourceVersion"]
        );
    }
    assert_eq!(names, 121, "an object deleted meanwhile is still shown");
    selection.continuation = "garbage".into();
    assert_eq!(store.list(SA, &selection).unwrap_err().code, 400);
}

#[test]
fn selectors() {
    let mut store = store();
    for name in ["api", "web"] {
        add(&mut store, name);
    }
    let cases = [
        ("app=api", "", vec!["api"]),
        ("app!=api", "", vec!["default", "web"]),
        ("app in (api, web)", "", vec!["api", "web"]),
        ("!app", "", vec!["default"]),
        ("app,app notin (web)", "", vec!["api"]),
        ("", "metadata.name=web", vec!["web"]),
    ];
    for (labels, fields, expected) in cases {
        let selection = Selection {
            namespace: "payments".into(),
            label_selector: labels.into(),
            field_selector: fields.into(),
            ..Selection::default()
        };
        let list = store.list(SA, &selection).unwrap();
        let names: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{labels} {fields}");
    }
    assert!(
        store
            .list(
                SA,
                &Selection {
                    label_selector: "a b".into(),
                    ..Selection::default()
                }
            )
            .is_err()
    );
}
