//! A plan in its columns, with color.

use super::style;
use crate::plan::{Action, Plan, Step};

/// The lines of the plan as its `Display` has them, colored by what each step does.
pub(super) fn render(plan: &Plan) -> String {
    let mut out = String::new();
    for (line, step) in plan.to_string().lines().zip(plan.steps()) {
        out.push_str(&paint(line, step));
        out.push('\n');
    }
    out
}

fn paint(line: &str, step: &Step) -> String {
    let parts = line
        .strip_suffix(step.reason.as_str())
        .and_then(|rest| rest.rsplit_once(step.title.as_str()));
    let Some((number, gap)) = parts else {
        return line.to_owned();
    };
    let title = match &step.action {
        Action::GetImage(_)
        | Action::CreateNetwork(_)
        | Action::CreateVolume(_)
        | Action::Create(_)
        | Action::Start(_)
        | Action::Connect(..) => style::good(&step.title),
        Action::RemoveImage(_)
        | Action::RemoveNetwork(_)
        | Action::RemoveVolume(_)
        | Action::Remove(_)
        | Action::RemoveDurable(_) => style::bad(&step.title),
        Action::Stop(_) | Action::StopCleanly(_) => style::careful(&step.title),
        Action::Pipe(_)
        | Action::Tell(_)
        | Action::Certify(_)
        | Action::Sign(_)
        | Action::Snapshot(_)
        | Action::DeployAws(_) => style::bold(&step.title),
        Action::CheckData(_) | Action::Await(_) | Action::Follow(_) | Action::Bake(..) => {
            step.title.clone()
        }
    };
    let line = format!("{}{title}{gap}{}", style::dim(number), style::dim(&step.reason));
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::progress::testing;

    #[test]
    fn the_columns_are_those_of_the_plan() {
        let plan = testing::plan();
        let seen = anstream::adapter::strip_str(&render(&plan)).to_string();
        assert_eq!(seen.trim_end(), plan.to_string().trim_end());
    }

    #[test]
    fn titles_are_colored_by_what_is_done() {
        let text = render(&testing::plan());
        assert!(text.contains(&style::good("start green/api")), "{text:?}");
        assert!(text.contains(&style::bad("remove green/old")), "{text:?}");
        assert_eq!(render(&Plan::default()), "");
    }
}
