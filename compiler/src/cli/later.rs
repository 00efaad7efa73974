//! Arguments that are declared to clap when their verb is called, not at every start.

use clap::builder::Resettable;
use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The arguments of a verb.
#[derive(Debug)]
pub(super) struct Later<A>(pub(super) A);

/// Declares arguments, whose struct says nothing of the verb.
fn declare<A: Args>(verb: Command) -> Command {
    let (about, long) = (verb.get_about().cloned(), verb.get_long_about().cloned());
    A::augment_args(verb).about(Resettable::from(about)).long_about(Resettable::from(long))
}

impl<A: Args> Args for Later<A> {
    fn augment_args(verb: Command) -> Command {
        verb.defer(declare::<A>)
    }

    fn augment_args_for_update(verb: Command) -> Command {
        verb.defer(declare::<A>)
    }
}

impl<A: FromArgMatches> FromArgMatches for Later<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        A::from_arg_matches(matches).map(Later)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
