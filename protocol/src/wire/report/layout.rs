//! The form of a [`Report`] on the wire, version 1. A page is one of three messages there: the key and the titles of a page
//! came later, each with a message of its own, and a worker writes the earliest that holds all of the page.
use super::{Burial, Heartbeat, Outcome, Progress, Report, ScanPage};
use crate::id::{Execution, WorkerId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// The messages in the order of their numbers.
#[derive(Serialize, Deserialize)]
enum Layout<'a> {
    Settled(Cow<'a, Outcome>),
    Page(Cow<'a, ScanPage>),
    Heartbeat(Cow<'a, Heartbeat>),
    Isolated {
        execution: Execution,
        worker: Cow<'a, WorkerId>,
    },
    PageUpTo {
        page: Cow<'a, ScanPage>,
        up_to: Cow<'a, str>,
    },
    Buried {
        execution: Execution,
        burials: Cow<'a, [Burial]>,
    },
    Progress(Cow<'a, Progress>),
    /// `titles` are those of the errors of the page, in their order.
    PageTitled {
        page: Cow<'a, ScanPage>,
        up_to: Option<Cow<'a, str>>,
        titles: Vec<Option<Cow<'a, str>>>,
    },
}

impl<'a> From<&'a Report> for Layout<'a> {
    fn from(report: &'a Report) -> Layout<'a> {
        match report {
            Report::Settled(outcome) => Layout::Settled(Cow::Borrowed(outcome)),
            Report::Page { page, up_to } => {
                let (up_to, page) = (up_to.as_deref().map(Cow::Borrowed), Cow::Borrowed(page));
                if page.errors.iter().any(|error| error.title.is_some()) {
                    let titles = page
                        .errors
                        .iter()
                        .map(|error| error.title.clone().map(Cow::Owned))
                        .collect();
                    return Layout::PageTitled {
                        page,
                        up_to,
                        titles,
                    };
                }
                match up_to {
                    Some(up_to) => Layout::PageUpTo { page, up_to },
                    None => Layout::Page(page),
                }
            }
            Report::Heartbeat(beat) => Layout::Heartbeat(Cow::Borrowed(beat)),
            Report::Isolated { execution, worker } => Layout::Isolated {
                execution: *execution,
                worker: Cow::Borrowed(worker),
            },
            Report::Buried { execution, burials } => Layout::Buried {
                execution: *execution,
                burials: Cow::Borrowed(burials),
            },
            Report::Progress(progress) => Layout::Progress(Cow::Borrowed(progress)),
        }
    }
}

impl From<Layout<'_>> for Report {
    fn from(layout: Layout<'_>) -> Report {
        match layout {
            Layout::Settled(outcome) => Report::Settled(outcome.into_owned()),
            Layout::Page(page) => Report::Page {
                page: page.into_owned(),
                up_to: None,
            },
            Layout::Heartbeat(beat) => Report::Heartbeat(beat.into_owned()),
            Layout::Isolated { execution, worker } => Report::Isolated {
                execution,
                worker: worker.into_owned(),
            },
            Layout::PageUpTo { page, up_to } => Report::Page {
                page: page.into_owned(),
                up_to: Some(up_to.into_owned()),
            },
            Layout::Buried { execution, burials } => Report::Buried {
                execution,
                burials: burials.into_owned(),
            },
            Layout::Progress(progress) => Report::Progress(progress.into_owned()),
            Layout::PageTitled {
                page,
                up_to,
                titles,
            } => {
                let mut page = page.into_owned();
                let titles = titles.into_iter().map(|title| title.map(Cow::into_owned));
                page.errors
                    .iter_mut()
                    .zip(titles)
                    .for_each(|(error, title)| error.title = title);
                Report::Page {
                    page,
                    up_to: up_to.map(Cow::into_owned),
                }
            }
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Layout::from(self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Report, D::Error> {
        Layout::deserialize(from).map(Report::from)
    }
}
