//! A tree as text of many lines, as Prometheus's `/api/v1/format_query` writes it.
//!
//! What fits on a line of 100 bytes stays on one; what does not is split, its parts indented by two spaces a level:
//!
//! ```text
//!   http_requests_total{…}
//! /
//!   http_requests_total{…}
//! ```

use std::collections::HashMap;
use std::ops::Range;

use super::print::{aggregation, chain, operation, write_expr};
use super::tree::Expr;

const LINE_BYTES_MAX: usize = 100;
const INDENT: &str = "  ";

/// The text would be longer than allowed: a chain of a thousand operators is indented by a thousand levels.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the formatted query has more than the {bytes_max} bytes that are allowed")]
pub(crate) struct TooLong {
    bytes_max: usize,
}

/// The expression on as many lines as it takes, at most so many bytes.
pub(crate) fn pretty(expr: &Expr, bytes_max: usize) -> Result<String, TooLong> {
    let (mut plain, mut places) = (String::new(), HashMap::new());
    write_expr(&mut plain, expr, None, &mut |expr, start, end| {
        places.insert(std::ptr::from_ref(expr), start..end);
    });
    let mut printer = Printer { plain: &plain, places: &places, out: String::new(), bytes_max };
    printer.expr(expr, 0)?;
    printer.fits()?;
    Ok(printer.out)
}

struct Printer<'p> {
    /// All of it on one line, of which each expression is a part.
    plain: &'p str,
    places: &'p HashMap<*const Expr, Range<usize>>,
    out: String,
    bytes_max: usize,
}

impl<'p> Printer<'p> {
    fn plain(&self, expr: &Expr) -> &'p str {
        let place = self.places.get(&std::ptr::from_ref(expr)).expect("every expression was written");
        &self.plain[place.clone()]
    }

    fn needs_split(&self, expr: &Expr) -> bool {
        self.plain(expr).len() > LINE_BYTES_MAX
    }

    fn fits(&self) -> Result<(), TooLong> {
        if self.out.len() <= self.bytes_max { Ok(()) } else { Err(TooLong { bytes_max: self.bytes_max }) }
    }

    fn indent(&mut self, level: usize) {
        for _ in 0..level {
            self.out.push_str(INDENT);
        }
    }

    fn line(&mut self, level: usize, expr: &Expr) {
        self.indent(level);
        self.out.push_str(self.plain(expr));
    }

    /// Writes an expression that begins a line. Goes down its left side in a loop.
    fn expr(&mut self, expr: &Expr, level: usize) -> Result<(), TooLong> {
        let (end, all) = chain(expr);
        // Longer ones are above shorter ones: where one fits on a line, so does what it is made of.
        let split = all.iter().take_while(|link| self.needs_split(link)).count();
        let (first, links) = (all.get(split).copied().unwrap_or(end), &all[..split]);
        let binaries = links.iter().filter(|link| matches!(link, Expr::Binary(_))).count();
        self.first(first, level + binaries)?;
        let mut level_of_link = level + binaries;
        for link in links.iter().rev() {
            match link {
                Expr::Binary(binary) => {
                    level_of_link -= 1;
                    self.out.push('\n');
                    self.indent(level_of_link);
                    self.out.push_str(&operation(binary));
                    self.out.push('\n');
                    self.expr(&binary.right, level_of_link + 1)?;
                }
                Expr::Subquery(subquery) => {
                    self.out.push_str(&self.plain(link)[self.plain(&subquery.inner).len()..]);
                }
                _ => unreachable!("only these have chains"),
            }
            self.fits()?;
        }
        Ok(())
    }

    /// Writes what a chain begins with: its end, or a link that fits on a line.
    fn first(&mut self, expr: &Expr, level: usize) -> Result<(), TooLong> {
        self.fits()?;
        match expr {
            Expr::Subquery(_) => self.line(0, expr), // as Prometheus does
            Expr::Unary(unary) => self.unary(unary.is_minus, &unary.inner, level)?,
            Expr::Aggregate(aggregate) if self.needs_split(expr) => {
                let arguments: Vec<&Expr> = aggregate.parameter.iter().chain([&aggregate.inner]).collect();
                self.parens(&aggregation(aggregate), &arguments, level)?;
            }
            Expr::Call(call) if self.needs_split(expr) => {
                self.parens(call.function.name, &call.arguments.iter().collect::<Vec<_>>(), level)?;
            }
            Expr::Paren(paren) if self.needs_split(expr) => self.parens("", &[&paren.inner], level)?,
            _ => self.line(level, expr),
        }
        Ok(())
    }

    fn unary(&mut self, is_minus: bool, inner: &Expr, level: usize) -> Result<(), TooLong> {
        let start = self.out.len();
        self.expr(inner, level)?;
        let written = self.out.split_off(start);
        self.indent(level);
        self.out.push(if is_minus { '-' } else { '+' });
        self.out.push_str(written.trim());
        Ok(())
    }

    /// Writes arguments in parentheses, each on a line of its own at least.
    fn parens(&mut self, head: &str, arguments: &[&Expr], level: usize) -> Result<(), TooLong> {
        self.indent(level);
        self.out.push_str(head);
        self.out.push('(');
        for (index, argument) in arguments.iter().enumerate() {
            self.out.push_str(if index > 0 { ",\n" } else { "\n" });
            self.expr(argument, level + 1)?;
        }
        self.out.push('\n');
        self.indent(level);
        self.out.push(')');
        Ok(())
    }
}
