//! That no text goes deep or takes long.

use super::super::tree::Expr;
use super::{SyntaxLimits, error, json, limits, parse, pretty, print, tree};
use crate::clock::Clock;

/// Far less than any thread of the server has. The frames of a build that is not optimised are four times as large.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 };

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
    thread
        .expect("a thread can be started")
        .join()
        .expect("neither a panic nor an overflow, which would end the process");
}

/// Reads, checks, writes and drops.
fn use_up(query: &str) {
    let tree = tree(query);
    assert_eq!(print(&super::tree(&print(&tree))), print(&tree));
    assert!(json(&tree).starts_with('{'));
    // Splitting may be refused for its size, but not go deep.
    drop(pretty(&tree, 1 << 20));
    drop(tree);
}

#[test]
fn nesting_up_to_the_limit_fits_a_small_stack() {
    on_a_small_stack(|| {
        let deepest = |open: &str, middle: &str, close: &str, levels: usize| {
            format!("{}{middle}{}", open.repeat(levels), close.repeat(levels))
        };
        for (open, middle, close, levels) in [
            ("(", "a", ")", 127),
            ("sum by (b) (", "a", ")", 127),
            ("abs(", "a", ")", 127),
            ("label_replace(", "a", ", \"\", \"\", \"\", \"\")", 127),
            ("-", "a", "", 127),
            ("(-", "a", ")", 63),
            ("a ^ ", "b", "", 127),
            ("a + (b - ", "c", ")", 63),
            ("max_over_time(", "a", "[5m:])", 126),
        ] {
            use_up(&deepest(open, middle, close, levels));
        }
        use_up(&format!("a[{}1{}]", "(5m+".repeat(60), ")".repeat(60)));
        use_up(&format!("a offset {}1", "-".repeat(120)));
        use_up(&format!("a[1{}]", "+1".repeat(128)));
    });
}

#[test]
fn one_level_more_is_refused() {
    let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    tree(&nested(127));
    assert_eq!(error(&nested(128)), "1:129: parse error: the query nests more than 128 levels deep");
    assert_eq!(
        error(&format!("{}a", "-".repeat(128))),
        "1:129: parse error: the query nests more than 128 levels deep"
    );
    assert_eq!(
        error(&format!("a[1{}]", "+1".repeat(129))),
        "1:260: parse error: a duration has more than 128 operators"
    );
}

#[test]
fn hostile_depth_is_refused_on_a_small_stack() {
    on_a_small_stack(|| {
        for piece in
            ["(", "-", "a^", "sum(", "abs(", "a[5m:", "a[(", "a offset (", "a offset -", "{", "a+(", "--", "((("]
        {
            let text = piece.repeat((64 << 10) / piece.len());
            assert!(parse(&text, &limits()).is_err(), "{piece}");
        }
    });
}

#[test]
fn long_chains_are_used_without_going_deep() {
    on_a_small_stack(|| {
        use_up(&format!("1{}", " + 1".repeat(10_000)));
        use_up(&format!("a{}", " or a".repeat(10_000)));
        let operators: String = ["+ b ", "> c ", "and d ", "* e "].into_iter().cycle().take(8000).collect();
        use_up(&format!("a {operators}"));
        // Each subquery would have to be of a vector; the chain is dropped when that is found.
        let error = error(&format!("a{}", "[5m:]".repeat(10_000)));
        assert_eq!(error, "1:1: parse error: subquery is only allowed on instant vector, got matrix instead");
    });
}

#[test]
fn longer_chains_are_refused() {
    assert_eq!(
        error(&format!("1{}", "+1".repeat(10_001))),
        "1:20002: parse error: the query has more than 10000 operators and subqueries"
    );
    let error = error(&format!("a{}", "[5m:]".repeat(10_001)));
    assert_eq!(error, "1:50006: parse error: the query has more than 10000 operators and subqueries");
}

#[test]
fn a_tree_that_is_refused_half_way_is_dropped_without_going_deep() {
    on_a_small_stack(|| {
        let chain = format!("a{}", " or a".repeat(9_999));
        assert_eq!(error(&format!("{chain} )")), "1:49999: parse error: unexpected right parenthesis ')'");
        assert_eq!(
            error(&format!("{chain} or \"b\"")).split(": ").last(),
            Some("binary expression must contain only scalar and instant vector types")
        );
    });
}

#[test]
fn the_other_limits_are_told_by_name() {
    let limits = SyntaxLimits { bytes_max: 10, patterns_max: 1, ..limits() };
    let refused = |text: &str| parse(text, &limits).err().map(|error| error.to_string());
    let too_long = "1:11: parse error: the query has 11 bytes, more than the 10 that are allowed";
    assert_eq!(refused("12345678901").as_deref(), Some(too_long));
    let limits = SyntaxLimits { patterns_max: 1, ..SyntaxLimits::default() };
    let error = parse("a{b=~\"c\",d!~\"e\"}", &limits).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("1:10: parse error: the query has more than 1 patterns"));
}

#[test]
fn reading_takes_time_by_the_byte() {
    // Were it by the square, a thousand times this would pass.
    let clock = Clock::system();
    let started = clock.monotonic();
    for text in [
        format!("1{}", "+1".repeat(10_000)),
        format!("a{{{}}}", "b=\"c\",".repeat(10_000)),
        format!("sum by ({}) (a)", "b,".repeat(30_000)),
        format!("a + on({}) group_left({}) a", "b,".repeat(15_000), "c,".repeat(15_000)),
        format!("\"{}\"", "\\x41".repeat(16_000)),
        format!("{}1", " ".repeat(60_000)),
        format!("{}1", "# \n".repeat(20_000)),
        format!("fill{}", " ".repeat(60_000)),
    ] {
        drop(tree(&text));
    }
    let took = clock.monotonic() - started;
    assert!(took.as_secs() < 10, "{took:?}");
}

#[test]
fn an_expression_is_two_words() {
    // Its size is what a level of nesting costs on the stack, many times over.
    assert_eq!(size_of::<Expr>(), 16);
}
