//! What is left when an apply breaks off at any of its AWS calls, and whether the next apply mends it (rule A9).

use podidentity::cty::Value;
use podidentity_sandbox::{Drop, Fault, FaultError};

use super::{World, core, runtime};
use crate::core::{Core, Instance, Release};
use crate::scenario::{
    Step, Subject, apply_step, apply_step_after, destroy, destroy_after, settled,
};
use crate::wire::Failure;

/// More calls than any apply makes.
const MOST_CALLS: u64 = 40;

/// How a call breaks.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// AWS refuses it.
    Refused,
    /// It takes effect, but the answer is lost.
    AnswerLost,
}

/// Breaks every single AWS call of a create, of an update and of a destroy, one at a time. Whatever the provider makes of
/// it, nothing may be orphaned, and applying or destroying again must succeed.
pub(super) fn check_interruptions(
    world: &World,
    subject: &dyn Subject,
    reset: &dyn Fn(),
    first: Value,
    second: Value,
) {
    check_interruptions_of(1, world, subject, reset, first, second);
}

/// [`check_interruptions`] with only every so many calls broken, others for each way of breaking: for operations of many calls.
pub(super) fn check_interruptions_of(
    every: u64,
    world: &World,
    subject: &dyn Subject,
    reset: &dyn Fn(),
    first: Value,
    second: Value,
) {
    let runtime = runtime();
    let core = core(&runtime, Release::V1_16);
    let [first, second] = [first, second].map(|written| Step {
        written,
        unknown: vec![],
    });
    let mut broken = 0;
    for (kind, begin) in [(Break::Refused, 0), (Break::AnswerLost, every / 2)] {
        for stage in ["create", "update", "destroy"] {
            let calls = (begin..MOST_CALLS * every).step_by(usize::try_from(every).unwrap());
            for call in calls {
                reset();
                let fired = runtime
                    .block_on(interrupt(
                        &core,
                        world,
                        subject,
                        [&first, &second],
                        kind,
                        stage,
                        call,
                    ))
                    .unwrap_or_else(|failure| {
                        panic!("{kind:?} at call {call} of {stage}: {failure}")
                    });
                subject.aftermath().unwrap_or_else(|failure| {
                    panic!("{kind:?} at call {call} of {stage}: {failure}")
                });
                if !fired {
                    assert!(call > begin, "no call was made in {stage}");
                    break;
                }
                broken += 1;
                assert_eq!(
                    subject.remote_objects(),
                    Some(0),
                    "{kind:?} at call {call} of {stage}"
                );
            }
        }
    }
    eprintln!("{}: {broken} calls broken", subject.type_name());
}

/// One life with one broken call. Answers whether there was such a call.
async fn interrupt(
    core: &Core,
    world: &World,
    subject: &dyn Subject,
    [first, second]: [&Step; 2],
    kind: Break,
    stage: &str,
    call: u64,
) -> Result<bool, Failure> {
    let break_call = || {
        world.sandbox.clear_requests();
        world.sandbox.fault(Fault {
            skip: call,
            count: Some(1),
            error: matches!(kind, Break::Refused).then(|| FaultError {
                code: "AccessDeniedException".to_owned(),
                message: "User is not authorized to perform this action".to_owned(),
                status: 403,
            }),
            drop: matches!(kind, Break::AnswerLost).then_some(Drop::After),
            ..Fault::default()
        });
    };
    let calls = || u64::try_from(world.sandbox.requests().len()).unwrap();
    let mut instance = Instance::none(subject.type_name());
    let mut last = first;
    let outcome = if stage == "create" {
        apply_step_after(core, subject, &mut instance, first, &break_call)
            .await
            .map(|_| ())
    } else {
        apply_step(core, subject, &mut instance, first).await?;
        if stage == "update" {
            last = second;
            apply_step_after(core, subject, &mut instance, second, &break_call)
                .await
                .map(|_| ())
        } else {
            destroy_after(core, subject, &mut instance, &break_call).await
        }
    };
    let fired = calls() > call;
    world.sandbox.clear_faults();
    if let Err(failure @ Failure::Violations(_)) = outcome {
        return Err(failure);
    }
    if stage == "destroy" && instance.state.is_null() {
        return Ok(fired);
    }
    apply_step(core, subject, &mut instance, last).await?;
    settled(core, subject, &mut instance, last).await?;
    destroy(core, subject, &mut instance).await?;
    Ok(fired)
}
