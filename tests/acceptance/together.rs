//! The three objects together: how many calls they cost.

use std::collections::BTreeMap;

use crate::harness::Case;

const COMPLETE: &str = include_str!("../../examples/complete/main.tf");

fn only(calls: &BTreeMap<String, usize>, kind: &[&str]) -> BTreeMap<String, usize> {
    calls
        .iter()
        .filter(|(name, _)| kind.iter().any(|kind| name.contains(kind)))
        .map(|(name, count)| (name.clone(), *count))
        .collect()
}

/// Every write once, every look-up at most once, and no more than eight calls besides the polls of the add-on.
#[test]
fn calls_of_a_life() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(COMPLETE).clear_calls().apply();
    let calls = case.calls();
    println!("apply: {calls:?}");
    let writes = only(
        &calls,
        &["Create", "Put", "Attach", "Update", "Delete", "Tag"],
    );
    assert!(writes.values().all(|count| *count == 1), "{calls:?}");
    let besides_polls: usize = calls
        .iter()
        .filter(|(name, _)| *name != "eks:DescribeAddon")
        .map(|(_, count)| count)
        .sum();
    assert!(besides_polls <= 8, "{besides_polls}: {calls:?}");

    case.clear_calls().expect_empty_plan();
    println!("plan without changes: {:?}", case.calls());
    case.expect_calls(&[
        ("eks:DescribeAddon", 1),
        ("eks:DescribePodIdentityAssociation", 1),
        ("iam:GetRole", 1),
        ("iam:ListAttachedRolePolicies", 1),
    ]);
    case.clear_calls().destroy();
    println!("destroy: {:?}", case.calls());
}
