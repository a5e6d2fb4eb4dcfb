//! The results of a smoke test as JUnit XML.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::tap::{Check, Outcome, Results};
use crate::verdict::Judgement;

/// The suite's name, and the class of its cases.
const SUITE: &str = "tdlet";
/// The case that is in error when the trust domain did not come to its end.
const VERDICT: &str = "verdict";

/// The document. `judgement` is about the whole boot: if a layer is at fault and no check has
/// failed, that is an error of its own.
///
/// # Errors
/// The document is no text.
pub fn document(
    results: &Results,
    judgement: &Judgement,
) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(SUITE);
    suite.add_test_cases(results.checks.iter().map(case));
    let has_failed = |check: &Check| matches!(check.outcome, Outcome::Failed(_));
    if let Some(layer) = judgement.layer
        && !(results.is_complete() && results.checks.iter().any(has_failed))
    {
        let message = format!("{layer} at fault: {}", judgement.text);
        suite.add_test_case(named(VERDICT, not_passed(NonSuccessKind::Error, &message, "")));
    }
    let mut report = Report::new(SUITE);
    report.add_test_suite(suite);
    Ok(without_sum_of_skipped(&report.to_string()?))
}

/// `testsuites` has a sum of all that is skipped, which Jenkins' schema does not know.
fn without_sum_of_skipped(text: &str) -> String {
    const SUM: &str = " skipped=\"";
    let head = text.find("<testsuites ").unwrap_or(0);
    let end = text[head..].find('>').map_or(text.len(), |length| head + length);
    let Some(start) = text[head..end].find(SUM).map(|offset| head + offset) else {
        return text.to_owned();
    };
    let digits = &text[start + SUM.len()..];
    let behind = digits.split_once('"').map_or("", |(_, behind)| behind);
    format!("{}{behind}", &text[..start])
}

fn case(check: &Check) -> TestCase {
    let status = match &check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.clone());
            status
        }
        Outcome::Failed(details) => {
            not_passed(NonSuccessKind::Failure, "the check failed", details)
        }
    };
    named(&check.name, status)
}

fn named(name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(SUITE);
    case
}

fn not_passed(kind: NonSuccessKind, message: &str, details: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message.to_owned()).set_description(details.to_owned());
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Layer;

    #[test]
    fn every_outcome_has_its_element() {
        let check = |name: &str, outcome| Check { name: name.into(), outcome };
        let checks = vec![
            check("a", Outcome::Passed),
            check("b", Outcome::Skipped("no <b>".into())),
            check("c", Outcome::Failed("step: \"x\"\n".into())),
        ];
        let results = Results { planned: Some(3), checks, broken: None };
        let judgement =
            Judgement { code: 1, layer: Some(Layer::Kernel), text: "a check failed".into() };
        let text = document(&results, &judgement).unwrap();
        assert!(text.contains(r#"tests="3""#) && text.contains(r#"failures="1""#), "{text}");
        assert!(text.contains("no &lt;b&gt;") && !text.contains("verdict"), "{text}");
        assert_eq!(text.matches(" skipped=\"1\"").count(), 1, "{text}");
        let died = Judgement { code: 4, layer: Some(Layer::Kernel), text: "it died".into() };
        let text = document(&Results { planned: Some(9), ..results }, &died).unwrap();
        assert!(text.contains("verdict") && text.contains("it died"), "{text}");
    }
}
