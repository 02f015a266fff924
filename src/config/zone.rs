//! Time zones by name, from the database that is in the binary: nothing needs to be installed.
//!
//! ```text
//! detection.timezone "Berlin": no time zone has this name; did you mean Europe/Berlin?
//! ```

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Finds a time zone by its name in the IANA database, like `Europe/Berlin`; lower case and upper case are the same.
/// Fails with what is wrong and the name that was perhaps meant.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    let database = TimeZoneDatabase::bundled();
    database.get(name).map_err(|_| match nearest(&database, name) {
        Some(meant) => format!("no time zone has this name; did you mean {meant}?"),
        None => "no time zone has this name; names are like Europe/Berlin, America/New_York or UTC".to_owned(),
    })
}

/// The name that the fewest changes lead to, if they are fewer than half of the letters.
fn nearest(database: &TimeZoneDatabase, given: &str) -> Option<String> {
    let given = given.to_ascii_lowercase().replace(' ', "_");
    // Longer texts are no misspelt names, and would be compared for long.
    if given.len() > 64 {
        return None;
    }
    let far = |name: &str| {
        let name = name.to_ascii_lowercase();
        let city = name.rsplit('/').next().unwrap_or("");
        changes(&given, &name).min(changes(&given, city))
    };
    let all = database.available().map(|name| name.as_str().to_owned());
    let (changes, name) = all.map(|name| (far(&name), name)).min()?;
    (2 * changes < given.len()).then_some(name)
}

/// How many letters must be changed, added or removed to make one text of the other (Levenshtein).
pub(crate) fn changes(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, wanted) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(name: &str) -> String {
        time_zone(name).expect_err("there is no such zone")
    }

    #[test]
    fn zones_are_found_by_name_without_regard_to_case() {
        for (given, name) in [("Europe/Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("UTC", "UTC")] {
            assert_eq!(time_zone(given).unwrap().iana_name(), Some(name));
        }
    }

    #[test]
    fn misspelt_names_are_answered_with_the_nearest() {
        for (given, meant) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("new york", "America/New_York"),
            ("Asia/Colombo ", "Asia/Colombo"),
            ("Amerika/Sao_Paulo", "America/Sao_Paulo"),
        ] {
            assert_eq!(mistake(given), format!("no time zone has this name; did you mean {meant}?"), "{given}");
        }
    }

    #[test]
    fn what_resembles_nothing_is_answered_with_examples() {
        for given in ["", "!", "the zone of our shop in the north", &"Berlin".repeat(1_000)] {
            assert!(mistake(given).ends_with("names are like Europe/Berlin, America/New_York or UTC"), "{given}");
        }
    }

    #[test]
    fn changes_are_counted_as_by_hand() {
        for (from, to, count) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("abc", "", 3)]
        {
            assert_eq!(changes(from, to), count, "{from} {to}");
        }
    }
}
