//! Addresses and the groups they name. What is expected was asked of a Pushgateway 1.5.

use super::*;

fn read(path: &str) -> Option<Vec<(String, String)>> {
    GroupKey::of_path(path).ok().map(|key| key.pairs().to_vec())
}

fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn addresses_name_groups_as_the_pushgateway_reads_them() {
    assert_eq!(read("/backup"), pairs(&[("job", "backup")]));
    assert_eq!(read("/backup/"), pairs(&[("job", "backup")]));
    assert_eq!(read("/b/shop/eu/a/1"), pairs(&[("a", "1"), ("job", "b"), ("shop", "eu")]));
    assert_eq!(read("/b/a/"), pairs(&[("a", ""), ("job", "b")]));
    assert_eq!(read("/b/a/1/a/2"), pairs(&[("a", "2"), ("job", "b")]), "the last of two values counts");
    assert_eq!(read("/b/job/c"), pairs(&[("job", "b")]), "the job of the front counts");
    assert_eq!(read("@base64/L3Zhci90bXA="), pairs(&[("job", "/var/tmp")]));
    assert_eq!(read("/b/path@base64/L3Zhci90bXA"), pairs(&[("job", "b"), ("path", "/var/tmp")]));
    assert_eq!(read("/b/none@base64/="), pairs(&[("job", "b"), ("none", "")]));
    assert_eq!(read("/gr%C3%B6%C3%9Fe/a/b%20c+d"), pairs(&[("a", "b c+d"), ("job", "größe")]));
    assert_eq!(read("/b/a/x%2Fy%2Fz"), pairs(&[("a", "x"), ("job", "b"), ("y", "z")]), "escapes come first");
}

#[test]
fn addresses_that_name_no_group_are_refused() {
    let paths = ["", "/", "@base64/=", "@base64/!", "/b/a", "/b/a/1/b", "/b/__a/c", "/b/1a/c", "/b/a/%zz", "/b/a/%f"];
    for path in paths.into_iter().chain(["/b/a/%ff", "/b/a@base64/_w", "/b/a//b/c", "/b/é/c"]) {
        assert_eq!(read(path), None, "{path}");
    }
    let long = format!("/b/a/{}", "x".repeat(5000));
    assert_eq!(read(&long), None, "a value over the limit of labels");
}
