//! Enumerations whose numbers live in maps and events, and whose names people read.

/// Declares an enumeration with a stable number and a stable name for each variant.
macro_rules! numbered {
    ($(#[$meta:meta])* $vis:vis enum $name:ident: $repr:ident {
        $($(#[$vmeta:meta])* $variant:ident = $number:literal $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        $vis enum $name { $($(#[$vmeta])* $variant = $number,)+ }

        impl $name {
            /// Lists every variant in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the number that maps and events hold.
            #[inline(always)]
            pub const fn number(self) -> $repr { self as $repr }

            /// Returns the variant of a number, if there is one.
            #[inline(always)]
            pub const fn from_number(number: $repr) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// Returns the name that people read.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use numbered;
