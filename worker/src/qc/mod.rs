//! Measuring and judging media: one ffprobe call, one decode, pure checks.
