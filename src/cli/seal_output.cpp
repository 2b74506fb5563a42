#include "cli/seal_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/engine_flags.h"
#include "cli/read_bandwidth.h"
#include "file/part_paths.h"
#include "file/pull.h"
#include "report/number.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kMostKeyBytes = 1 << 20;

std::string mend_text(const DamagedBlock& damage) {
  const std::string_view what = damage.missing ? "cannot be read" : "";
  switch (damage.mend) {
    case Mend::bit:
      return "one bit";
    case Mend::parity:
      return damage.missing ? "cannot be read; parity mends it"
                            : fmt::format("{} bits; parity mends it", format_grouped(damage.bits));
    case Mend::impossible:
      return fmt::format("{}lost", what.empty() ? "" : "cannot be read; ");
    case Mend::intact:
    case Mend::check:
      return "";
  }
  return "";
}

double median(std::array<double, 3> values) {
  std::ranges::sort(values);
  return values[1];
}

}  // namespace

Flag bandwidth_flag() {
  return {.name = "--bandwidth",
          .help = "also say the share of the speed at which file and memory can be read"};
}

Flag key_flag(std::string_view help) {
  return {.name = "--key", .kind = ValueKind::path, .value_name = "FILE", .help = help};
}

Result<std::vector<std::string>> model_files(const Arguments& arguments) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  return part_paths(path);
}

Result<std::optional<std::vector<std::uint8_t>>> read_key(const Arguments& arguments) {
  if (!arguments.has("--key")) return std::optional<std::vector<std::uint8_t>>();
  const std::string path = arguments.text("--key");
  CB_TRY(const SpanFile file, SpanFile::open(path, SpanFile::Mode::read));
  const std::uint64_t size = file.size_bytes();
  if (size < kLeastKeyBytes || size > kMostKeyBytes) {
    return fail(
        ErrorKind::invalid,
        "{}: a key has {} to {} bytes, this has {}; `head -c 32 /dev/urandom > FILE` makes one",
        path, kLeastKeyBytes, kMostKeyBytes, size);
  }
  std::vector<std::uint8_t> key(static_cast<std::size_t>(size));
  if (!file.read(0, key)) return fail(ErrorKind::io, "{}: cannot be read", path);
  return std::optional(std::move(key));
}

Result<Bandwidth> measure_bandwidth(const SpanFile& model, std::uint64_t bytes, ThreadPool& pool) {
  constexpr std::int64_t kBufferBytes = std::int64_t{512} << 20;
  CB_TRY(ReadBuffer buffer, ReadBuffer::create(kBufferBytes, pool));
  std::array<double, 3> file{};
  std::array<double, 3> memory{};
  for (std::size_t i = 0; i < file.size(); ++i) {
    file[i] = static_cast<double>(bytes) / read_alone(model, bytes, pool);
    memory[i] = static_cast<double>(buffer.size_bytes()) / buffer.read(1);
  }
  return Bandwidth{median(file), median(memory)};
}

std::string speed_text(double bytes_per_second, const std::optional<Bandwidth>& bandwidth) {
  std::string text = print_quantity(bytes_per_second, "bytes/s");
  if (!bandwidth) return text;
  const auto share = [&](double limit, std::string_view of) {
    text += fmt::format(", {} of {} ({})", print_quantity(bytes_per_second / limit, "share"), of,
                        print_quantity(limit, "bytes/s"));
  };
  share(bandwidth->file_bytes_per_second, "reading the file alone");
  share(bandwidth->memory_bytes_per_second, "reading memory");
  return text;
}

std::vector<Record> speed_records(const Console& console, const std::string& name,
                                  double bytes_per_second,
                                  const std::optional<Bandwidth>& bandwidth) {
  std::vector<Record> records = {
      make_record(console, name + "_bytes_per_second", bytes_per_second, "bytes/s")};
  if (!bandwidth) return records;
  const double file = bandwidth->file_bytes_per_second;
  const double memory = bandwidth->memory_bytes_per_second;
  records.push_back(make_record(console, "file_read_bandwidth", file, "bytes/s"));
  records.push_back(
      make_record(console, "file_read_bandwidth_share", bytes_per_second / file, "share"));
  records.push_back(make_record(console, "read_bandwidth", memory, "bytes/s"));
  records.push_back(
      make_record(console, "read_bandwidth_share", bytes_per_second / memory, "share"));
  return records;
}

void print_damage(const DamageList& list, std::uint64_t damaged, Console& console) {
  if (list.blocks.empty()) return;
  TextTable table{
      .header = {"at byte", "what", "damage"}, .right = {true, false, false}, .rows = {}};
  for (const DamagedBlock& damage : list.blocks) {
    const std::uint64_t at = damage.flips.empty() ? damage.offset : damage.flips[0].offset;
    const std::string what = clean_line(damage.where);
    table.rows.push_back({format_grouped(at),
                          damage.field.empty() ? what : fmt::format("{}: {}", what, damage.field),
                          mend_text(damage)});
  }
  console.out << table.render(console.out_terminal, 2);
  if (damaged > list.blocks.size()) {
    console.out << fmt::format("  and {} blocks more; --places N shows more, --json has them too\n",
                               format_grouped(damaged - list.blocks.size()));
  }
}

nlohmann::ordered_json damage_json(const DamageList& list) {
  auto blocks = nlohmann::ordered_json::array();
  for (const DamagedBlock& damage : list.blocks) {
    auto flips = nlohmann::ordered_json::array();
    for (const FlippedByte& flip : damage.flips)
      flips.push_back({{"byte", flip.offset}, {"flipped", flip.flipped}});
    blocks.push_back({{"block", damage.block},
                      {"byte", damage.offset},
                      {"missing", damage.missing},
                      {"mend", to_string(damage.mend)},
                      {"bits", damage.bits},
                      {"flips", std::move(flips)},
                      {"where", valid_utf8(damage.where)},
                      {"field", damage.field}});
  }
  return blocks;
}

std::string damage_sentence(const VerifyReport& report, const DamageList& list) {
  std::string text =
      fmt::format("{} of {} blocks are damaged", format_grouped(report.damaged.size()),
                  format_grouped(report.blocks));
  if (report.file_bytes < report.sealed_bytes) {
    text += fmt::format(" (the file lacks its last {})",
                        format_bytes(report.sealed_bytes - report.file_bytes));
  }
  text += fmt::format(": {} by one bit, {} by more", format_grouped(list.by_bit),
                      format_grouped(list.by_parity + list.lost));
  if (list.lost == 0) return text + "; all can be mended";
  text += fmt::format("; {} cannot be mended", format_grouped(list.lost));
  if (!list.tensors_lost.empty()) {
    text += " (";
    for (std::size_t i = 0; i < list.tensors_lost.size(); ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ", ", clean_line(list.tensors_lost[i]));
    text += ")";
  }
  return text;
}

}  // namespace checkbit
