// Figures as people read them.
//
// What: a record becomes value, unit and interval in words: "83.6" "MB", "4.21" "%" "± 0.35".
// Rules: bytes scale by 1000 (kB, MB, GB); rates from a billion on are in billions; shares are
//   printed in per cent; an interval fixes the digits (its half width gets one, or two when they
//   begin with 1 or 2 or the value would have fewer than three), else three significant digits;
//   whole numbers of things get thousands separators; intervals are "± half width" when both sides
//   agree to a tenth, else "[low, high]".
// Threads: pure functions.
#pragma once

#include <string>

#include "report/record.h"

namespace checkbit {

struct PrintedRecord {
  std::string value;
  std::string unit;      ///< may be empty
  std::string interval;  ///< empty when the record has none
};

PrintedRecord print_record(const Record& record);

/// Value and unit in one string, without interval: "83.6 MB", "4.21 %", "25.3".
std::string print_quantity(double value, const std::string& unit);

/// Value with unit and interval in one string: "4.21 % ± 0.35".
std::string print_with_interval(const Record& record);

}  // namespace checkbit
