//! `switch --weight`: the idle color gets a share of the traffic.

use super::{Action, Conflict, Plan, Switch, clone::clones_of, switch::ready};
use crate::model::{Color, control::Request};

/// Plans a share of so many percent of new clients for the idle color, 0 to 99. What goes before a switch goes before it:
/// tests that passed, the first hooks. The workers stay where they are.
pub fn canary(input: &Switch<'_>, weight: u8) -> Result<Plan, Conflict> {
    let Switch { names, to, observed, routing, .. } = *input;
    let stack = routing.stacks.get(&to).ok_or(Conflict::NoRelease { color: to })?;
    if routing.live == Some(to) {
        return Err(Conflict::Live { color: to });
    }
    for color in Color::ALL {
        let services = clones_of(observed, names, color);
        if weight > 0 && !services.is_empty() {
            return Err(Conflict::SharesClone { color, services });
        }
    }
    let mut plan = Plan::default();
    let now = routing.share(to).unwrap_or(0);
    if now == weight {
        return Ok(plan);
    }
    let mut after = ready(&mut plan, input, stack, weight > 0 && now == 0)?;
    let bake = input.bake.filter(|_| weight > 0);
    if let Some(bake) = bake {
        after = bake.begin(&mut plan, to, after);
    }
    let request = Request::Weigh { to, weight, health: weight > 0 };
    let shared = plan.push(
        after,
        Action::Tell(Box::new(request)),
        format!("give {to} {weight} % of new clients"),
        format!("it gets {now} %, release {}", stack.release),
    );
    if let Some(bake) = bake {
        bake.watch(&mut plan, to, shared);
    }
    Ok(plan)
}
