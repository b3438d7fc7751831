//! A measurement of the picture that the graph, the facts and the needs carry without knowing it.
use crate::streams::VideoStream;
use serde_json::Value;

/// A measurement of the picture in a branch of its own. Its settings are in the needs and its result is in the facts, both
/// by its name and in the form that it defines.
pub trait PictureMeasure: Sync {
    /// Name in needs and facts, and of the file with its marks.
    fn name(&self) -> &'static str;

    /// The filters of its branch. What they add to the metadata of pictures is the text that [`PictureMeasure::read`] gets.
    fn filter(&self, settings: &Value, video: &VideoStream) -> String;

    /// The result; `None` when nothing was measured.
    fn read(&self, marks: &str, video: &VideoStream) -> Option<Value>;
}
