// What `guard seal`, `verify` and `repair` have in common: the files of a model, the key, and how
// speed and damage are said.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "guard/seal_damage.h"
#include "guard/seal_verify.h"
#include "report/record.h"

namespace checkbit {

/// --bandwidth, --key, --json.
Flag bandwidth_flag();
Flag key_flag(std::string_view help);

/// The parts of MODEL (a path or a pulled name).
Result<std::vector<std::string>> model_files(const Arguments& arguments);
/// The bytes of --key FILE, nothing when it is not given. Errors: invalid (too short, too long).
Result<std::optional<std::vector<std::uint8_t>>> read_key(const Arguments& arguments);

/// How fast the model's file can be read in pieces without looking at them, and how fast memory is:
/// medians of runs that alternate, by the same threads.
struct Bandwidth {
  double file_bytes_per_second = 0;
  double memory_bytes_per_second = 0;
};
Result<Bandwidth> measure_bandwidth(const SpanFile& model, std::uint64_t bytes, ThreadPool& pool);
/// "9.81 GB/s, 96 % of reading the file alone (10.2 GB/s), 34 % of reading memory (29.1 GB/s)"
std::string speed_text(double bytes_per_second, const std::optional<Bandwidth>& bandwidth);
/// NAME_bytes_per_second and, with a bandwidth, the two and the shares of them.
std::vector<Record> speed_records(const Console& console, const std::string& name,
                                  double bytes_per_second,
                                  const std::optional<Bandwidth>& bandwidth);

/// The damaged blocks, a line each.
void print_damage(const DamageList& list, std::uint64_t damaged, Console& console);
nlohmann::ordered_json damage_json(const DamageList& list);
/// "3 of 272,783 blocks are damaged: 2 by one bit, 1 by more; all can be mended"
std::string damage_sentence(const VerifyReport& report, const DamageList& list);

}  // namespace checkbit
