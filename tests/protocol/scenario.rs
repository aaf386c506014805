//! The life of one object under Core: a sequence of configurations, then import and destroy.

use std::collections::BTreeMap;

use podidentity::cty::{Path, Value};

use crate::core::{Action, Core, Instance};
use crate::rules::Violation;
use crate::wire::Failure;

/// One configuration of the object.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What the user wrote; attributes that are not here are null.
    pub(crate) written: Value,
    /// Top-level attributes whose values come from other objects and are not known when planning.
    pub(crate) unknown: Vec<String>,
}

/// What a scenario must know about a resource beside its schema.
pub(crate) trait Subject {
    /// The resource type.
    fn type_name(&self) -> &'static str;

    /// The provider block.
    fn provider(&self) -> Value;

    /// Every import id of an object.
    fn import_ids(&self, state: &Value) -> Vec<String>;

    /// Attributes that only the configuration knows, so that an import cannot find them.
    fn not_imported(&self) -> &'static [&'static str] {
        &[]
    }

    /// Attributes that may change in AWS by themselves, such as a status.
    fn volatile(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether two spellings of an attribute mean the same. Only an import may change the spelling.
    fn same_after_import(&self, _name: &str, before: &Value, after: &Value) -> bool {
        before == after
    }

    /// How many such objects exist on the other side, if that can be asked.
    fn remote_objects(&self) -> Option<usize> {
        None
    }

    /// What a life that has ended with a destroy did to the rest of the world, if it did something that it should not have.
    fn aftermath(&self) -> Result<(), String> {
        Ok(())
    }
}

/// How often each action was carried out, to prove that a set of scenarios covered them.
pub(crate) type Actions = BTreeMap<Action, usize>;

/// Runs a scenario. Whatever the provider does wrong on the way is the error, with the step in the message.
pub(crate) async fn run(
    core: &Core,
    subject: &dyn Subject,
    steps: &[Step],
) -> Result<Actions, String> {
    let mut actions = Actions::new();
    let mut instance = Instance::none(subject.type_name());
    for (number, step) in steps.iter().enumerate() {
        let action = apply_step(core, subject, &mut instance, step)
            .await
            .map_err(|failure| format!("step {number}: {failure}"))?;
        *actions.entry(action).or_default() += 1;
        settled(core, subject, &mut instance, step)
            .await
            .map_err(|failure| format!("after step {number} ({action:?}): {failure}"))?;
    }
    if let Some(last) = steps.last() {
        import(core, subject, &instance, last)
            .await
            .map_err(|failure| format!("import: {failure}"))?;
    }
    destroy(core, subject, &mut instance)
        .await
        .map_err(|failure| format!("destroy: {failure}"))?;
    Ok(actions)
}

/// Plans with what is known, and applies in a new process with everything known.
pub(crate) async fn apply_step(
    core: &Core,
    subject: &dyn Subject,
    instance: &mut Instance,
    step: &Step,
) -> Result<Action, Failure> {
    apply_step_after(core, subject, instance, step, &|| {}).await
}

/// [`apply_step`], with something that happens between plan and apply.
pub(crate) async fn apply_step_after(
    core: &Core,
    subject: &dyn Subject,
    instance: &mut Instance,
    step: &Step,
    between: &dyn Fn(),
) -> Result<Action, Failure> {
    let block = &core.schema(subject.type_name()).block;
    let config = block.configuration(&step.written);
    let mut at_plan = config.clone();
    for name in &step.unknown {
        at_plan.set(name.clone(), Value::unknown());
    }

    let mut process = core.process(&subject.provider()).await?;
    if !instance.state.is_null() {
        core.refresh(&mut process, instance).await?;
    }
    let plan = core.plan(&mut process, instance, &at_plan).await?;

    let mut process = core.process(&subject.provider()).await?;
    let before = subject.remote_objects();
    between();
    let applied = core.apply(&mut process, instance, &plan, &config).await;
    if !matches!(applied, Err(Failure::Violations(_)))
        && instance.state.is_null()
        && let (Some(before), Some(after)) = (before, subject.remote_objects())
        && after > before
    {
        return Err(Violation::new(
            "A9",
            "the object was created, but nothing is saved in the state",
        )
        .into());
    }
    applied.map(|()| plan.action)
}

/// A refresh right after an apply finds what was applied, and a repeated plan is a no-op.
pub(crate) async fn settled(
    core: &Core,
    subject: &dyn Subject,
    instance: &mut Instance,
    step: &Step,
) -> Result<(), Failure> {
    let config = core
        .schema(subject.type_name())
        .block
        .configuration(&step.written);
    let mut process = core.process(&subject.provider()).await?;
    let applied = instance.state.clone();
    core.refresh(&mut process, instance).await?;
    let drift = differences(&applied, &instance.state, subject.volatile());
    if !drift.is_empty() {
        return Err(Violation::new(
            "refresh",
            format!("differs from what was just applied: {drift}"),
        )
        .into());
    }
    let plan = core.plan(&mut process, instance, &config).await?;
    if plan.action != Action::NoOp {
        let changes = differences(&instance.state, &plan.planned, &[]);
        return Err(Violation::new(
            "no-op",
            format!("a repeated plan is {:?}: {changes}", plan.action),
        )
        .into());
    }
    Ok(())
}

/// An import finds everything that was applied, and a plan of the same configuration changes nothing.
async fn import(
    core: &Core,
    subject: &dyn Subject,
    instance: &Instance,
    step: &Step,
) -> Result<(), Failure> {
    let type_name = subject.type_name();
    let config = core.schema(type_name).block.configuration(&step.written);
    let ids = subject.import_ids(&instance.state).into_iter();
    let mut ways: Vec<(String, Value)> = ids.map(|id| (id, Value::Null)).collect();
    if core.has_identity(type_name) {
        ways.push((String::new(), instance.identity.clone()));
    }
    let except = [subject.volatile(), subject.not_imported()].concat();
    for (id, identity) in ways {
        let respelled = std::cell::Cell::new(false);
        let same = |name: &str, before: &Value, after: &Value| {
            let same = before == after || subject.same_after_import(name, before, after);
            respelled.set(respelled.get() || (same && before != after));
            // Writing it in the user's spelling is an update, and updates have results.
            same || (respelled.get() && after.is_unknown())
        };
        let mut process = core.process(&subject.provider()).await?;
        let imported = core.import(&mut process, type_name, &id, &identity).await?;
        let missed = differences_beyond(
            &blank(&instance.state),
            &blank(&imported.state),
            &except,
            &same,
        );
        if !missed.is_empty() {
            return Err(Violation::new(
                "import",
                format!("differs from the managed object: {missed}"),
            )
            .into());
        }
        let plan = core.plan(&mut process, &imported, &config).await?;
        let changes = differences_beyond(
            &blank(&imported.state),
            &blank(&plan.planned),
            subject.not_imported(),
            &same,
        );
        if !changes.is_empty() || plan.action == Action::Replace {
            return Err(Violation::new(
                "import",
                format!("a plan after it is {:?}: {changes}", plan.action),
            )
            .into());
        }
    }
    Ok(())
}

/// Destroys; reading what was destroyed says that it is gone, and destroying it again is no error.
pub(crate) async fn destroy(
    core: &Core,
    subject: &dyn Subject,
    instance: &mut Instance,
) -> Result<(), Failure> {
    destroy_after(core, subject, instance, &|| {}).await
}

/// [`destroy`], with something that happens between plan and apply.
pub(crate) async fn destroy_after(
    core: &Core,
    subject: &dyn Subject,
    instance: &mut Instance,
    between: &dyn Fn(),
) -> Result<(), Failure> {
    let mut process = core.process(&subject.provider()).await?;
    core.refresh(&mut process, instance).await?;
    let plan = core.plan_destroy(&mut process, instance).await?;

    let mut process = core.process(&subject.provider()).await?;
    let mut remembered = instance.clone();
    between();
    core.apply(&mut process, instance, &plan, &Value::Null)
        .await?;
    let mut again = remembered.clone();
    core.apply(&mut process, &mut again, &plan, &Value::Null)
        .await?;
    core.refresh(&mut process, &mut remembered).await?;
    if !remembered.state.is_null() {
        return Err(Violation::new("R5", "the destroyed object is still read").into());
    }
    Ok(())
}

/// With null for everything empty: from outside nobody can tell whether `tags = {}` or `description = ""` was written.
fn blank(state: &Value) -> Value {
    state.transform(&mut |path, value| {
        let empty = value.as_str() == Some("")
            || value.as_elements().is_some_and(<[Value]>::is_empty)
            || value.as_entries().is_some_and(BTreeMap::is_empty);
        (empty && !path.is_root()).then_some(Value::Null)
    })
}

/// Top-level attributes in which two objects differ.
fn differences(before: &Value, after: &Value, except: &[&str]) -> String {
    differences_beyond(before, after, except, &|_, before, after| before == after)
}

fn differences_beyond(
    before: &Value,
    after: &Value,
    except: &[&str],
    same: &dyn Fn(&str, &Value, &Value) -> bool,
) -> String {
    let (Some(a), Some(b)) = (before.as_entries(), after.as_entries()) else {
        return if before == after {
            String::new()
        } else {
            format!("{before:?} -> {after:?}")
        };
    };
    let differing = a.iter().filter(|(name, value)| {
        !except.contains(&name.as_str())
            && !b.get(*name).is_some_and(|after| same(name, value, after))
    });
    differing
        .map(|(name, value)| {
            format!(
                "{}: {value:?} -> {:?}",
                Path::from(name.as_str()),
                after.get(name)
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}
