// What `checkbit measure` says at its end: the story of a run, its records, and how they are
// printed.
//
// Threads: one.
#pragma once

#include <span>
#include <vector>

#include "cli/console.h"
#include "cli/measure_inputs.h"
#include "measure/story.h"

namespace checkbit {

ComparisonStory make_story(const MeasureInputs& inputs, ComparisonResult result,
                           const Console& console);
/// Of every candidate, its file and the run; of several candidates each record names its own.
std::vector<Record> records_of(const ComparisonStory& story, const MeasureInputs& inputs,
                               const Console& console);

/// One JSON object: records, environment, and under "measurement" what saved_run.h reads back.
void print_measurement_json(const ComparisonStory& story, std::span<const Record> records,
                            const MeasureInputs& inputs, Console& console);
/// The verdict, of several candidates their tables, and the records that are left.
void print_measurement(const ComparisonStory& story, std::span<const Record> records,
                       Console& console);

}  // namespace checkbit
