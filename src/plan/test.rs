//! `test`: a one-shot service, made anew in the color that is tested.

use std::collections::BTreeMap;

use super::{
    Action, Aws, Conflict, Plan, Until, Wait, aws::uses_outputs, conflict, desired::Service, stack,
};
use crate::model::{Color, Image, Names, Observed};

/// A test service and where it runs.
#[derive(Debug)]
pub struct Test<'a> {
    pub names: &'a Names,
    pub color: Color,
    pub service: &'a Service,
    pub observed: &'a Observed,
    pub images: &'a BTreeMap<String, Image>,
    /// The longest that it may run.
    pub limit: std::time::Duration,
    pub aws: Option<Aws>,
}

/// Plans one run of a test service. What an earlier run left goes first.
pub fn test(input: &Test<'_>) -> Result<Plan, Conflict> {
    let Test { names, color, service, observed, .. } = *input;
    let mut plan = Plan::default();
    let mut after: Vec<_> =
        stack::images(&mut plan, [service].into_iter(), input.images).into_values().collect();
    // One container, whatever its scale: its exit code is the result.
    let Some(spec) = service.replicas.first() else { return Ok(plan) };
    if conflict::own_container(observed, names, "app", &spec.name)?.is_some() {
        after = vec![plan.push(
            after,
            Action::Remove(spec.name.clone()),
            format!("remove container {}", spec.name),
            "of an earlier test",
        )];
    }
    after.extend(
        input.aws.as_ref().and_then(|aws| aws.push(&mut plan, [], uses_outputs(spec), false)),
    );
    let shown = format!("{color}/{}", service.key);
    let created = plan.push(
        after,
        Action::Create(Box::new(spec.clone())),
        format!("create {shown} ({})", spec.image),
        "a fresh one for each test",
    );
    let started =
        plan.push([created], Action::Start(spec.name.clone()), format!("run {shown}"), "checks");
    let wait = Wait {
        container: spec.name.clone(),
        service: shown.clone(),
        until: Until::Completed,
        limit: input.limit,
    };
    plan.push(
        [started],
        Action::Follow(Box::new(wait)),
        format!("wait until {shown} has ended well"),
        "its exit code is the result",
    );
    Ok(plan)
}
