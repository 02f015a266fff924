//! Verdicts in JUnit's XML, which build servers read.

/// What a test file came to: its name, and its cases with their failures.
pub(super) struct Suite {
    pub name: String,
    pub cases: Vec<(String, Vec<String>)>,
    /// Why no case could run.
    pub abort: Option<String>,
}

/// The whole document.
pub(super) fn document(suites: &[Suite]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for suite in suites {
        let failed = suite.cases.iter().filter(|(_, failures)| !failures.is_empty()).count();
        let errors = usize::from(suite.abort.is_some());
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\">\n",
            escaped(&suite.name),
            suite.cases.len()
        ));
        if let Some(why) = &suite.abort {
            text.push_str(&format!("    <system-err>{}</system-err>\n", escaped(why)));
        }
        for (name, failures) in &suite.cases {
            text.push_str(&format!("    <testcase name=\"{}\">\n", escaped(name)));
            for failure in failures {
                text.push_str(&format!("      <failure>{}</failure>\n", escaped(failure)));
            }
            text.push_str("    </testcase>\n");
        }
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

/// Characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            _ if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            _ => escaped.push(letter),
        }
    }
    escaped
}
