//! The result as JUnit XML, which CI shows.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Tested;
use crate::model::Names;

impl Tested {
    /// A document of one suite, with a case for each check.
    pub fn junit(&self, names: &Names) -> String {
        let name = format!("{} {}", names.prefix(), self.color);
        let mut suite = TestSuite::new(name.clone());
        suite.set_time(Duration::from_millis(self.checks.iter().map(|it| it.milliseconds).sum()));
        suite.add_property(("release", self.release.as_str()));
        for check in &self.checks {
            let mut status = TestCaseStatus::success();
            if !check.passed {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let first = check.failures.iter().flat_map(|text| text.lines()).next();
                status.set_message(first.unwrap_or_default());
                status.set_description(check.failures.join("\n"));
            }
            let mut case = TestCase::new(check.name.as_str(), status);
            case.set_classname(name.as_str());
            case.set_time(Duration::from_millis(check.milliseconds));
            suite.add_test_case(case);
        }
        let mut report = Report::new(name);
        report.add_test_suite(suite);
        report.to_string().expect("the text of a report is written to memory")
    }
}
