// The style sheet of the report page, placed inside it.
//
// What: one accent (the measured model) and one contrast colour (the reference) on paper; both keep
//   a contrast of at least 4.5 : 1 to the paper in light and dark mode. Text in the reader's serif,
//   figures and labels in the system's sans serif with figures of equal width.
#pragma once

namespace checkbit {

extern const char* const kReportStyle;

}  // namespace checkbit
