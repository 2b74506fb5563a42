#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "report/render.h"

namespace checkbit {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

Json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::floor(value) && std::abs(value) <= kLargestExactInteger) {
    return static_cast<std::int64_t>(value);
  }
  return value;
}

Json record_object(const Record& record) {
  Json object;
  object["name"] = record.name;
  object["value"] = record.text.has_value() ? Json(*record.text) : number(record.value);
  object["unit"] = record.unit;
  object["low"] = record.low.has_value() ? number(*record.low) : Json(nullptr);
  object["high"] = record.high.has_value() ? number(*record.high) : Json(nullptr);
  object["command"] = record.command;
  if (!record.subject.empty()) object["subject"] = record.subject;
  if (!record.text.has_value() && !std::isfinite(record.value)) {
    object["not_finite"] = std::isnan(record.value) ? "nan" : record.value > 0 ? "inf" : "-inf";
  }
  return object;
}

}  // namespace

std::string render_json(std::span<const Record> records, const Environment& environment,
                        const Json& extra) {
  CB_CHECK(extra.is_object() && !extra.contains("records") && !extra.contains("environment"));
  Json root;
  root["records"] = Json::array();
  for (const Record& record : records) root["records"].push_back(record_object(record));
  root["environment"] = Json::object();
  for (const auto& [name, value] : environment) root["environment"][name] = value;
  for (const auto& [name, value] : extra.items()) root[name] = value;
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string render_json(std::span<const Record> records, const Environment& environment) {
  return render_json(records, environment, Json::object());
}

}  // namespace checkbit
