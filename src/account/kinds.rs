//! The kinds of an error, each in one place: what it is, its name for labels, and what is told of it.

macro_rules! kinds {
    (
        $(#[$about:meta])*
        pub enum $Kinds:ident {
            $(
                $(#[$doc:meta])*
                $Kind:ident $({ $(#[$field_doc:meta])* $field:ident: $Field:ty })?
                = $name:literal, $told:literal;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Kinds {
            $($(#[$doc])* $Kind $({ $(#[$field_doc])* $field: $Field })?,)+
        }

        impl $Kinds {
            /// The name of this kind, for labels: in lower case, with `_` between words.
            pub const fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$Kind { .. } => $name,)+
                }
            }

            fn tell(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$Kind $({ $field })? => write!(f, $told),)+
                }
            }
        }

        #[cfg(test)]
        #[test]
        fn the_guide_says_what_to_do_about_every_kind() {
            let guide = include_str!("../guide/errors.md");
            for text in [$($told),+] {
                let text = text.replace("{until}", "…");
                assert!(guide.contains(&format!("| `{text}` |")), "{text}");
            }
        }
    };
}

pub(super) use kinds;
