//! Calls of functions, and what they are given.
//!
//! Always true: a function is given as many values as it takes, each of the kind that it takes, and has been paid for.

use std::rc::Rc;

use super::evaluate::{At, Evaluated, State};
use super::functions::{self, Kind};
use super::tree::{Operand, Term};
use super::value::{ANYTHING, TEXTS, Value};

impl<'t> State<'t, '_> {
    /// `node` is what an error of the function itself names.
    pub(super) fn call(
        &mut self,
        dot: &Value,
        name: &'static str,
        node: At<'t>,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Evaluated<Value> {
        let function = functions::function(name);
        let (fixed, count) = (function.parameters.len(), arguments.len() + usize::from(last.is_some()));
        if function.is_variadic && count < fixed - 1 {
            return self.fail(&format!(
                "wrong number of args for {name}: want at least {} got {}",
                fixed - 1,
                arguments.len()
            ));
        }
        if !function.is_variadic && count != fixed {
            return self.fail(&format!("wrong number of args for {name}: want {fixed} got {count}"));
        }
        if name == "and" || name == "or" {
            return self.short_circuit(dot, name == "or", arguments, last);
        }
        let parameter = |index: usize| function.parameters[index.min(fixed.saturating_sub(1))];
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, parameter(index), argument)?);
        }
        if let Some(last) = last {
            values.push(self.fitting(last, parameter(count - 1))?);
        }
        self.pay_for(&values)?;
        if name == "call" {
            self.at = Some(node);
            let given = arguments.first().map_or_else(String::new, |operand| format!(" {operand}"));
            return self.fail(&match values[0] {
                Value::Nothing => "error calling call: call of nil".to_owned(),
                _ => format!("error calling call: non-function{given} of type {}", values[0].type_name()),
            });
        }
        functions::call(name, self.dialect, &values, self.facts, &mut self.work).map_err(|what| {
            self.at = Some(node);
            self.told(&format!("error calling {name}: {what}"))
        })
    }

    /// Whatever a function makes of its arguments is a few times as long as they are; widths of `printf` come on top.
    fn pay_for(&mut self, values: &[Value]) -> Evaluated<()> {
        let weight = values.iter().map(Value::weight).fold(0_usize, usize::saturating_add);
        let widths = match values {
            [Value::Text(format), ..] => {
                10_000 * format.matches(|letter: char| letter.is_ascii_digit() || letter == '*').count()
            }
            _ => 0,
        };
        let has_widths = matches!(values, [Value::Text(format), ..] if format.contains('%'));
        let indexed =
            if has_widths { weight.saturating_mul(1 + values[0].formatted().matches('[').count()) } else { 0 };
        let due = weight.saturating_add(indexed).saturating_add(if has_widths { widths } else { 0 });
        self.work.bytes(due).map_err(|what| self.told(&what))
    }

    fn short_circuit(
        &mut self,
        dot: &Value,
        stops_at: bool,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Evaluated<Value> {
        let mut value = Value::Nothing;
        for argument in arguments {
            value = self.argument(dot, Kind::Any, argument)?;
            if value.is_true() == stops_at {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    pub(super) fn argument(&mut self, dot: &Value, kind: Kind, operand: &'t Operand) -> Evaluated<Value> {
        self.step()?;
        self.at = Some(At::Operand(operand));
        match (&operand.term, kind) {
            (Term::Nil, Kind::Text) => self.fail("cannot assign nil to string"),
            (Term::Bool(_) | Term::Number { .. }, Kind::Text) => {
                self.fail(&format!("expected string; found {operand}"))
            }
            (
                Term::Bool(_) | Term::Number { .. } | Term::Text { .. },
                Kind::Sample | Kind::Samples | Kind::Moment | Kind::Texts | Kind::List,
            ) => self.fail(&format!("can't handle {operand} for arg of type {}", kind.type_name())),
            _ => {
                let value = self.deeper(|state| state.operand(dot, operand))?;
                self.fitting(value, kind)
            }
        }
    }

    fn operand(&mut self, dot: &Value, operand: &'t Operand) -> Evaluated<Value> {
        match &operand.term {
            Term::Variable { fields, .. } if !fields.is_empty() => self.fields(dot, operand, &[], None),
            _ => self.plain(dot, operand),
        }
    }

    /// The value, if it is of the kind.
    fn fitting(&self, value: Value, kind: Kind) -> Evaluated<Value> {
        match (&value, kind) {
            (_, Kind::Any)
            | (Value::Text(_), Kind::Text)
            | (Value::Sample(_), Kind::Sample)
            | (Value::Samples(_), Kind::Samples)
            | (Value::Moment(_), Kind::Moment)
            | (Value::List { of: TEXTS, .. }, Kind::Texts)
            | (Value::List { of: ANYTHING, .. }, Kind::List) => Ok(value),
            (Value::Nothing, Kind::Text) => self.fail("invalid value; expected string"),
            // Go's nil pointer, which panics in the function.
            (Value::Nothing, Kind::Sample) => Ok(value),
            (Value::Nothing, Kind::Samples) => Ok(Value::Samples(Rc::default())),
            _ => {
                let (expected, got) = (kind.type_name(), value.type_name());
                self.fail(&format!("wrong type for value; expected {expected}; got {got}"))
            }
        }
    }
}
