//! Optional terms of a query. A term without a value is not in the text, so that indexes apply.
use super::value::Value;

/// Terms joined by AND, with their parameters.
#[derive(Default)]
pub(crate) struct Filter<'a> {
    terms: Vec<String>,
    values: Vec<Value<'a>>,
}

impl<'a> Filter<'a> {
    /// Adds a parameter; returns its place in the text.
    pub(crate) fn place(&mut self, value: impl Into<Value<'a>>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Adds a term without a parameter.
    pub(crate) fn term(&mut self, term: &str) {
        self.terms.push(term.to_owned());
    }

    /// Adds `left value` where there is a value: `left` is a column and an operator.
    pub(crate) fn compare(&mut self, left: &str, value: Option<impl Into<Value<'a>>>) {
        if let Some(value) = value {
            let place = self.place(value);
            self.terms.push(format!("{left} {place}"));
        }
    }

    /// The terms behind WHERE; nothing when there are none.
    pub(crate) fn clause(&self) -> String {
        if self.terms.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.terms.join(" AND "))
        }
    }

    /// The parameters in the order of their places.
    pub(crate) fn values(&self) -> &[Value<'a>] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_holds_only_terms_that_are_asked_for() {
        let mut filter = Filter::default();
        assert_eq!(filter.clause(), "");
        filter.compare("a =", Some(1_i64));
        filter.compare("b =", None::<&str>);
        filter.term("c IS NULL");
        filter.compare("d >", Some("x"));
        assert_eq!(filter.place(9_i64), "?3");
        assert_eq!(filter.clause(), "WHERE a = ?1 AND c IS NULL AND d > ?2");
        assert_eq!(
            filter.values(),
            [Value::from(1_i64), Value::from("x"), Value::from(9_i64)]
        );
    }
}
