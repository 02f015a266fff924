//! Fills a tree in.
//!
//! Always true: however the tree was written, no more is done than [`Work`] pays for, no more than [`OUTPUT_BYTES_MAX`] written,
//! and the stack grows no deeper than [`DEPTH_MAX`] parts within each other.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::functions::{Dialect, Kind};
use super::message::Library;
use super::parser::Tree;
use super::tree::{Branch, BranchKind, Command, Node, Number, Operand, Pipeline, TemplateCall, Term};
use super::value::{Data, Value};
use super::work::Work;
use super::{Fact, Facts, html, methods};

/// Longest text that a template may come to, in bytes.
pub(super) const OUTPUT_BYTES_MAX: usize = 1 << 18;
/// How deep actions, parentheses and calls of templates may run in each other.
const DEPTH_MAX: usize = 250;

/// Bytes before a rule's own text in what Prometheus expands: it counts columns of the first line from there.
const PROMETHEUS_PREFIX_BYTES: usize =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
        .len();

/// Fills a tree in under the template's name. Fails with the words of Go.
pub(super) fn of_rule(text: &str, tree: &Tree, name: &str, facts: &Facts<'_>) -> Result<String, String> {
    let data = data_of(facts);
    let mut state = State::new(Source { name, text }, tree, facts);
    state.prefix_bytes = PROMETHEUS_PREFIX_BYTES;
    state.variables = variables_of(&data, facts);
    state.list(&Value::Data(data), &tree.root)?;
    Ok(state.output)
}

/// Fills in a tree of a message, which may call what the library defines.
pub(super) fn of_message(
    (text, tree): (&str, &Tree),
    library: &Library,
    data: &Value,
    facts: &Facts<'_>,
    as_html: bool,
) -> Result<String, String> {
    let mut state = State::new(Source { name: "", text }, tree, facts);
    state.dialect = Dialect::Messages;
    state.library = Some(library);
    state.as_html = as_html;
    state.variables = vec![("$".to_owned(), data.clone())];
    state.list(data, &tree.root)?;
    Ok(state.output)
}

fn data_of(facts: &Facts<'_>) -> Rc<Data> {
    let labels = |labels: &crate::model::Labels| {
        let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Value::Labels(Rc::new(labels))
    };
    Rc::new(Data {
        labels: labels(facts.labels),
        external_labels: labels(facts.external_labels),
        external_url: Value::text(facts.external_url),
        value: facts.histogram.map_or(Value::Float(facts.value), |text| Value::Histogram(text.into())),
    })
}

fn variables_of(data: &Rc<Data>, facts: &Facts<'_>) -> Vec<(String, Value)> {
    let mut variables = vec![
        ("$".to_owned(), Value::Data(data.clone())),
        ("$labels".to_owned(), data.labels.clone()),
        ("$externalLabels".to_owned(), data.external_labels.clone()),
        ("$externalURL".to_owned(), data.external_url.clone()),
        ("$value".to_owned(), data.value.clone()),
    ];
    variables.extend(super::FACTS.iter().map(|name| {
        let given = facts.more.iter().find(|(given, _)| given == name);
        let value = given.map_or(Value::Nothing, |(_, fact)| match fact {
            Fact::Number(number) => Value::Float(*number),
            Fact::Text(text) => Value::text(text),
        });
        (format!("${name}"), value)
    }));
    variables
}

/// The part that an error names.
#[derive(Clone, Copy)]
pub(super) enum At<'t> {
    Pipeline(&'t Pipeline),
    Command(&'t Command),
    Operand(&'t Operand),
    Call(&'t TemplateCall),
}

impl At<'_> {
    fn position(&self) -> usize {
        match self {
            At::Pipeline(part) => part.position,
            At::Command(part) => part.position,
            At::Operand(part) => part.position,
            At::Call(part) => part.position,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Pipeline(part) => write!(f, "{part}"),
            At::Command(part) => write!(f, "{part}"),
            At::Operand(part) => write!(f, "{part}"),
            At::Call(part) => write!(f, "{part}"),
        }
    }
}

/// How a list was left.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    AtItsEnd,
    ByBreak,
    ByContinue,
}

/// What something came to, or the whole message of what is wrong.
pub(super) type Evaluated<T> = Result<T, String>;

/// The text whose part is being evaluated, and its name.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub name: &'t str,
    pub text: &'t str,
}

/// A template while it is filled in.
pub(super) struct State<'t, 'f> {
    source: Source<'t>,
    /// The template that runs.
    template: &'t str,
    tree: &'t Tree,
    /// What else is defined.
    library: Option<&'t Library>,
    pub(super) dialect: Dialect,
    /// Whether values are written as a page needs it.
    as_html: bool,
    /// What Prometheus puts before the first line.
    prefix_bytes: usize,
    pub(super) facts: &'f Facts<'f>,
    pub(super) at: Option<At<'t>>,
    variables: Vec<(String, Value)>,
    output: String,
    depth: usize,
    pub(super) work: Work,
}

impl<'t, 'f> State<'t, 'f> {
    fn new(source: Source<'t>, tree: &'t Tree, facts: &'f Facts<'f>) -> State<'t, 'f> {
        State {
            source,
            template: source.name,
            tree,
            library: None,
            dialect: Dialect::Rules,
            as_html: false,
            prefix_bytes: 0,
            facts,
            at: None,
            variables: Vec::new(),
            output: String::new(),
            depth: 0,
            work: Work::new(),
        }
    }
}

impl<'t> State<'t, '_> {
    /// The whole message of an error at the part that is being evaluated.
    pub(super) fn told(&self, what: &str) -> String {
        let Some(at) = self.at else { return format!("template: {}: {what}", self.source.name) };
        let before = &self.source.text[..at.position().min(self.source.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = match before.rfind('\n') {
            None => self.prefix_bytes + before.len(),
            Some(newline) => before.len() - newline - 1,
        };
        format!("template: {}:{line}:{column}: executing {:?} at <{at}>: {what}", self.source.name, self.template)
    }

    pub(super) fn fail<T>(&self, what: &str) -> Evaluated<T> {
        Err(self.told(what))
    }

    pub(super) fn step(&mut self) -> Evaluated<()> {
        self.work.step().map_err(|what| self.told(&what))
    }

    pub(super) fn deeper<T>(&mut self, evaluate: impl FnOnce(&mut Self) -> Evaluated<T>) -> Evaluated<T> {
        if self.depth == DEPTH_MAX {
            return self.fail(&format!("exceeded maximum template depth ({DEPTH_MAX})"));
        }
        self.depth += 1;
        let evaluated = evaluate(self);
        self.depth -= 1;
        evaluated
    }

    fn write(&mut self, text: &str) -> Evaluated<()> {
        if self.output.len() + text.len() > OUTPUT_BYTES_MAX {
            return self.fail(&format!("the text grows longer than {OUTPUT_BYTES_MAX} bytes"));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn list(&mut self, dot: &Value, list: &'t [Node]) -> Evaluated<Left> {
        for node in list {
            self.step()?;
            let left = match node {
                Node::Text(text) if self.as_html => self.write(&html::literal(text)).map(|()| Left::AtItsEnd)?,
                Node::Text(text) => self.write(text).map(|()| Left::AtItsEnd)?,
                Node::Action(pipeline) => self.action(dot, pipeline)?,
                Node::Branch(branch) => self.deeper(|state| state.branch(dot, branch))?,
                Node::Call(call) => self.deeper(|state| state.call_template(dot, call))?,
                Node::Break => Left::ByBreak,
                Node::Continue => Left::ByContinue,
            };
            if left != Left::AtItsEnd {
                return Ok(left);
            }
        }
        Ok(Left::AtItsEnd)
    }

    fn action(&mut self, dot: &Value, pipeline: &'t Pipeline) -> Evaluated<Left> {
        let value = self.pipeline(dot, pipeline)?;
        if pipeline.variables.is_empty() {
            self.work.bytes(value.weight()).map_err(|what| self.told(&what))?;
            let text = if self.as_html { html::printed(&self.output, &value) } else { value.printed() };
            self.write(&text)?;
        }
        Ok(Left::AtItsEnd)
    }

    fn branch(&mut self, dot: &Value, branch: &'t Branch) -> Evaluated<Left> {
        let in_sight = self.variables.len();
        let left = match branch.kind {
            BranchKind::Range => self.range(dot, branch),
            BranchKind::If | BranchKind::With => self.choice(dot, branch),
        };
        self.variables.truncate(in_sight);
        left
    }

    fn choice(&mut self, dot: &Value, branch: &'t Branch) -> Evaluated<Left> {
        let value = self.pipeline(dot, &branch.pipeline)?;
        match &branch.otherwise {
            _ if value.is_true() => {
                let dot = if branch.kind == BranchKind::With { &value } else { dot };
                self.list(dot, &branch.body)
            }
            Some(otherwise) => self.list(dot, otherwise),
            None => Ok(Left::AtItsEnd),
        }
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Evaluated<Left> {
        let over = self.pipeline(dot, &branch.pipeline)?;
        let mut elements: Box<dyn Iterator<Item = (Value, Value)>> = match &over {
            Value::Samples(samples) => {
                let samples: Vec<_> = samples.to_vec();
                let numbered = samples.into_iter().zip(0..);
                Box::new(numbered.map(|(sample, index)| (Value::Int(index), Value::Sample(sample))))
            }
            Value::List { items, .. } => {
                let items: Vec<_> = items.to_vec();
                let numbered = items.into_iter().zip(0..);
                Box::new(numbered.map(|(item, index)| (Value::Int(index), item)))
            }
            Value::Labels(labels) | Value::Kv(labels) => {
                Box::new(labels.iter().map(|(name, value)| (Value::text(name), Value::Text(value.clone()))))
            }
            Value::Map(map) => Box::new(map.iter().map(|(name, value)| (Value::text(name), value.clone()))),
            Value::Int(_) if branch.pipeline.variables.len() > 1 => {
                let what = format!("can't use {} to iterate over more than one variable", over.formatted());
                return self.fail(&what);
            }
            Value::Int(count) => Box::new((0..*count).map(|number| (Value::Int(number), Value::Int(number)))),
            Value::Nothing => Box::new(std::iter::empty()),
            _ => {
                let what = format!("range can't iterate over {}", over.formatted());
                return self.fail(&what);
            }
        };
        let in_sight = self.variables.len();
        let mut has_run = false;
        for (index, element) in elements.by_ref() {
            has_run = true;
            self.step()?;
            self.bind(&branch.pipeline, index, &element)?;
            let left = self.list(&element, &branch.body)?;
            self.variables.truncate(in_sight);
            if left == Left::ByBreak {
                break;
            }
        }
        match &branch.otherwise {
            Some(otherwise) if !has_run => self.list(dot, otherwise),
            _ => Ok(Left::AtItsEnd),
        }
    }

    /// Gives a range's variables, which its pipeline has declared, what they hold in one turn.
    fn bind(&mut self, pipeline: &Pipeline, index: Value, element: &Value) -> Evaluated<()> {
        match pipeline.variables.as_slice() {
            [] => Ok(()),
            [only] => self.assign(only, element.clone()),
            [first, second, ..] => {
                self.assign(first, index)?;
                self.assign(second, element.clone())
            }
        }
    }

    /// Overwrites the innermost variable of the name.
    fn assign(&mut self, name: &str, value: Value) -> Evaluated<()> {
        match self.variables.iter_mut().rev().find(|variable| variable.0 == name) {
            Some(variable) => {
                variable.1 = value;
                Ok(())
            }
            None => self.fail(&format!("undefined variable: {name}")),
        }
    }

    fn call_template(&mut self, dot: &Value, call: &'t TemplateCall) -> Evaluated<Left> {
        self.at = Some(At::Call(call));
        let own = self.tree.defined.get_key_value(&call.name).map(|(name, body)| (name.as_str(), body, self.source));
        let found = own.or_else(|| self.library.and_then(|library| library.definition(&call.name)));
        let Some((name, body, source)) = found else {
            return self.fail(&format!("template {:?} not defined", call.name));
        };
        let dot = match &call.pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Nothing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let outer_name = std::mem::replace(&mut self.template, name);
        let outer_source = std::mem::replace(&mut self.source, source);
        self.list(&dot, body)?;
        (self.variables, self.template, self.source) = (outer, outer_name, outer_source);
        Ok(Left::AtItsEnd)
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'t Pipeline) -> Evaluated<Value> {
        self.at = Some(At::Pipeline(pipeline));
        let mut value = None;
        for command in &pipeline.commands {
            self.step()?;
            value = Some(self.deeper(|state| state.command(dot, command, value))?);
        }
        let value = value.expect("a pipeline has a command");
        for name in &pipeline.variables {
            if pipeline.is_assignment {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    /// `last` is what the command before it came to.
    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Evaluated<Value> {
        let (first, arguments) = (&command.operands[0], &command.operands[1..]);
        match &first.term {
            Term::Function(name) => {
                self.at = Some(At::Operand(first));
                self.call(dot, name, At::Command(command), arguments, last)
            }
            Term::Field(_) | Term::Chain { .. } => self.fields(dot, first, arguments, last),
            Term::Variable { fields, .. } if !fields.is_empty() => self.fields(dot, first, arguments, last),
            Term::Pipeline(pipeline) => {
                self.is_no_function(first, arguments, last.as_ref())?;
                self.pipeline(dot, pipeline)
            }
            Term::Nil => {
                self.at = Some(At::Operand(first));
                self.is_no_function(first, arguments, last.as_ref())?;
                self.fail("nil is not a command")
            }
            _ => {
                self.at = Some(At::Operand(first));
                self.is_no_function(first, arguments, last.as_ref())?;
                self.plain(dot, first)
            }
        }
    }

    fn is_no_function(&self, first: &Operand, arguments: &[Operand], last: Option<&Value>) -> Evaluated<()> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        self.fail(&format!("can't give argument to non-function {first}"))
    }

    /// An operand without fields and without arguments.
    pub(super) fn plain(&mut self, dot: &Value, operand: &'t Operand) -> Evaluated<Value> {
        match &operand.term {
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Dot => Ok(dot.clone()),
            Term::Number { number: Number::Int(number), .. } => Ok(Value::Int(*number)),
            Term::Number { number: Number::Float(number), .. } => Ok(Value::Float(*number)),
            Term::Number { written, number: Number::Overflow } => self.fail(&format!("{written} overflows int")),
            Term::Text { text, .. } => Ok(Value::Text(text.clone())),
            Term::Variable { name, .. } => self.variable(name),
            Term::Nil => Ok(Value::Nothing),
            Term::Function(name) => self.call(dot, name, At::Operand(operand), &[], None),
            Term::Pipeline(pipeline) => self.pipeline(dot, pipeline),
            Term::Field(_) | Term::Chain { .. } => self.fields(dot, operand, &[], None),
        }
    }

    fn variable(&self, name: &str) -> Evaluated<Value> {
        let variable = self.variables.iter().rev().find(|variable| variable.0 == name);
        variable.map_or_else(|| self.fail(&format!("undefined variable: {name}")), |(_, value)| Ok(value.clone()))
    }

    /// `.a.b`, `$x.a.b` and `(…).a.b`, of which the last may be a method with arguments.
    pub(super) fn fields(
        &mut self,
        dot: &Value,
        operand: &'t Operand,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Evaluated<Value> {
        self.at = Some(At::Operand(operand));
        let (mut value, fields) = match &operand.term {
            Term::Field(fields) => (dot.clone(), fields),
            Term::Variable { name, fields } => (self.variable(name)?, fields),
            Term::Chain { of, fields } => {
                if of.term == Term::Nil {
                    return self.fail(&format!("indirection through explicit nil in {operand}"));
                }
                (self.argument(dot, Kind::Any, of)?, fields)
            }
            _ => unreachable!("only these have fields"),
        };
        let (final_field, first_fields) = fields.split_last().expect("there is a field");
        for field in first_fields {
            let of_map = matches!(value, Value::Map(_));
            value = self.field(&value, field, &[])?;
            if of_map && matches!(value, Value::Nothing) {
                return self.fail(&format!("nil pointer evaluating interface {{}}.{final_field}"));
            }
        }
        if methods::has(&value, final_field) {
            let mut values = Vec::new();
            for argument in arguments {
                values.push(self.argument(dot, methods::parameter(final_field), argument)?);
            }
            values.extend(last);
            self.work.bytes(64).map_err(|what| self.told(&what))?;
            return self.field(&value, final_field, &values);
        }
        if !arguments.is_empty() || last.is_some() {
            let what = match value {
                Value::Labels(_) | Value::Kv(_) | Value::Map(_) => {
                    format!("{final_field} is not a method but has arguments")
                }
                Value::Nothing => return Ok(Value::Nothing),
                // What has no such field says so.
                _ => {
                    self.field(&value, final_field, &[])?;
                    format!("{final_field} has arguments but cannot be invoked as function")
                }
            };
            return self.fail(&what);
        }
        self.field(&value, final_field, &[])
    }

    fn field(&self, of: &Value, field: &str, arguments: &[Value]) -> Evaluated<Value> {
        let value = match of {
            Value::Nothing => Some(Value::Nothing),
            Value::Labels(labels) => Some(Value::Text(labels.get(field).cloned().unwrap_or_else(|| "".into()))),
            Value::Map(map) => Some(map.get(field).cloned().unwrap_or(Value::Nothing)),
            Value::Kv(map) if !methods::has(of, field) => {
                Some(Value::Text(map.get(field).cloned().unwrap_or_else(|| "".into())))
            }
            Value::Object(object) => object.field(field).cloned(),
            Value::Sample(sample) => match field {
                "Labels" => Some(Value::Labels(sample.labels.clone())),
                "Value" => Some(Value::Float(sample.value)),
                _ => None,
            },
            Value::Data(data) => match field {
                "Labels" => Some(data.labels.clone()),
                "ExternalLabels" => Some(data.external_labels.clone()),
                "ExternalURL" => Some(data.external_url.clone()),
                "Value" => Some(data.value.clone()),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => Ok(value),
            None => match methods::call(of, field, arguments) {
                Some(value) => value.map_err(|what| self.told(&what)),
                None => self.fail(&format!("can't evaluate field {field} in type {}", of.type_name())),
            },
        }
    }
}
