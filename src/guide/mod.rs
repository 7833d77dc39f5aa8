//! The guide: how it works, how to choose, and what to do when it goes wrong.
//!
//! The modules say what each type does. These pages go from a question to the types that answer it.
//!
//! | page | the question |
//! |---|---|
//! | [`signing`] | What is signed, and what do the clock and the nonce do? |
//! | [`rotation`] | How is a refresh token presented only once, and what does a revocation reach? |
//! | [`stores`] | Where are the tokens kept, and what does a container, a volume, a pooler need? |
//! | [`gateway`] | How does a gateway sign for its callers? |
//! | [`testing`] | How do I test my own stack, and whose clock counts? |
//! | [`moving`] | How do I come here from a signer, a client or a database of my own? |
//! | [`layers`] | In which order do layers stand, and what does one see where? |
//! | [`errors`] | What does this error want of me? |
//! | [`compatibility`] | Which versions go together? |
//!
//! Every example runs as a test against the strict provider of [`testing`](crate::testing), which counts
//! how often each refresh token is presented.

pub mod signing {
    #![doc = include_str!("signing.md")]
}

pub mod rotation {
    #![doc = include_str!("rotation_picture.md")]
    #![doc = include_str!("rotation.svg")]
    // An empty line ends the picture: what follows is Markdown again.
    #![doc = "\n"]
    #![doc = include_str!("rotation.md")]
}

pub mod stores {
    #![doc = include_str!("stores.md")]
}

pub mod gateway {
    #![doc = include_str!("gateway.md")]
}

pub mod testing {
    #![doc = include_str!("testing.md")]
}

pub mod moving {
    #![doc = include_str!("moving.md")]
}

pub mod layers {
    #![doc = include_str!("layers.md")]
}

pub mod errors {
    #![doc = include_str!("errors.md")]
}

pub mod compatibility {
    #![doc = include_str!("compatibility.md")]
}
