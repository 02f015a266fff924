//! A door for fuzzing, in tests and behind the feature `fuzzing` alone: a template filled in.

use crate::model::Labels;
use crate::template::{Fact, Facts, Template};

/// Reads a template and fills it in, with a made-up alert whose queries answer one row. Fails with what is wrong with the
/// template, and where.
pub fn filled_in(template: &str) -> Result<String, String> {
    let template = Template::parse(template).map_err(|error| format!("{}:{}: {error}", error.line, error.column))?;
    let labels = Labels::from_pairs([("region", "eu"), ("node", "7:90")]).map_err(|error| error.to_string())?;
    Ok(template.render(
        "A",
        &Facts {
            labels: &labels,
            value: 1234.5,
            histogram: None,
            external_labels: &Labels::empty(),
            external_url: "http://shop.example/prom",
            at_ms: 1_700_000_000_000,
            query: &|_| Ok(vec![(labels.clone(), 1.0)]),
            more: &[("expected", Fact::Number(2000.0)), ("direction", Fact::Text("drop"))],
        },
    ))
}
