//! One transaction over every domain.

macro_rules! one_trait {
    ($($domain:ident: $tx:ident $(($table:ident))?,)*) => {
        /// What a service may read and write inside one transaction. Nothing here decides: rules decide, services carry out.
        pub trait Tx: $(crate::$domain::$tx +)* {}

        impl<T: $(crate::$domain::$tx +)*> Tx for T {}
    };
}

domains!(one_trait);
