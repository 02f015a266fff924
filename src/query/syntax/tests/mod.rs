use super::*;

#[test]
fn a_query_is_read_and_written() {
    let expr = parse("sum(foo{b='x',a=\"y\"}) by (c) > bool 0x10", &SyntaxLimits::default()).unwrap();
    assert_eq!(print(&expr), "sum by (c) (foo{a=\"y\",b=\"x\"}) > bool 16");
}
