//! RMS level and mean of each channel, and the number of samples.

/// What the meter printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChannelLevels {
    /// RMS level of each channel in dB; `None` in a slot is digital silence.
    pub rms: Vec<Option<f64>>,
    /// Mean of each channel as a share of full scale; `None` in a slot is no number.
    pub dc_offset: Vec<Option<f64>>,
    /// Samples of one channel.
    pub samples: Option<u64>,
}

/// Filter for programme `n` that prints levels and offset per channel, and the number of samples.
pub(crate) fn filter(n: usize) -> String {
    format!("astats@a{n}=measure_perchannel=RMS_level+DC_offset:measure_overall=Number_of_samples")
}

impl ChannelLevels {
    /// Takes a line of the meter's summary. True when a second summary begins after a complete one: the stream has changed
    /// its format.
    pub(crate) fn read_line(&mut self, text: &str) -> bool {
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
        };
        if text == "Channel: 1" {
            self.rms.clear();
            self.dc_offset.clear();
            return self.samples.is_some();
        }
        if let Some(level) = text.strip_prefix("RMS level dB:") {
            self.rms.push(number(level));
        } else if let Some(offset) = text.strip_prefix("DC offset:") {
            self.dc_offset.push(number(offset));
        } else if let Some(count) = text.strip_prefix("Number of samples:") {
            self.samples = count.trim().parse().ok();
        }
        false
    }
}
