#include "file/gguf.h"

#include <algorithm>
#include <limits>

namespace checkbit {
namespace {

template <class To, class From>
std::optional<To> convert_integer(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

template <class To>
std::optional<To> integer_of(const GgufValue* value) {
  if (value == nullptr) return std::nullopt;
  if (const auto* u = std::get_if<std::uint64_t>(&value->value)) return convert_integer<To>(*u);
  if (const auto* i = std::get_if<std::int64_t>(&value->value)) return convert_integer<To>(*i);
  return std::nullopt;
}

template <class T>
const T* held(const GgufValue* value) {
  return value == nullptr ? nullptr : std::get_if<T>(&value->value);
}

/// The array's vector of T, or null when `value` is not an array or holds something else.
template <class T>
const std::vector<T>* held_array(const GgufValue* value) {
  const auto* array = held<GgufArray>(value);
  return array == nullptr ? nullptr : std::get_if<std::vector<T>>(&array->values);
}

}  // namespace

std::size_t GgufArray::size() const {
  return std::visit([](const auto& vector) { return vector.size(); }, values);
}

GgufValue GgufValue::of(std::string text) { return {GgufKind::string, std::move(text)}; }
GgufValue GgufValue::of(bool value) { return {GgufKind::boolean, value}; }
GgufValue GgufValue::of(std::uint32_t value) { return {GgufKind::u32, std::uint64_t{value}}; }
GgufValue GgufValue::of(std::uint64_t value) { return {GgufKind::u64, value}; }
GgufValue GgufValue::of(float value) { return {GgufKind::f32, value}; }

GgufValue GgufValue::of(std::vector<std::string> values) {
  return {GgufKind::array, GgufArray{GgufKind::string, std::move(values)}};
}

GgufValue GgufValue::of(std::vector<std::uint32_t> values) {
  return {GgufKind::array,
          GgufArray{GgufKind::u32, std::vector<std::uint64_t>(values.begin(), values.end())}};
}

const GgufValue* Metadata::find(std::string_view key) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const auto& entry) { return entry.first == key; });
  return found == entries_.end() ? nullptr : &found->second;
}

void Metadata::set(std::string key, GgufValue value) {
  if (const auto* present = find(key)) {
    *const_cast<GgufValue*>(present) = std::move(value);
    return;
  }
  append(std::move(key), std::move(value));
}

void Metadata::append(std::string key, GgufValue value) {
  entries_.emplace_back(std::move(key), std::move(value));
}

void Metadata::erase(std::string_view key) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
}

std::optional<std::uint64_t> Metadata::get_uint(std::string_view key) const {
  return integer_of<std::uint64_t>(find(key));
}

std::optional<std::int64_t> Metadata::get_int(std::string_view key) const {
  return integer_of<std::int64_t>(find(key));
}

std::optional<double> Metadata::get_float(std::string_view key) const {
  const auto* value = find(key);
  if (const auto* single = held<float>(value)) return *single;
  if (const auto* wide = held<double>(value)) return *wide;
  return std::nullopt;
}

std::optional<bool> Metadata::get_bool(std::string_view key) const {
  const auto* value = held<bool>(find(key));
  return value == nullptr ? std::nullopt : std::optional<bool>(*value);
}

std::optional<std::string_view> Metadata::get_string(std::string_view key) const {
  const auto* value = held<std::string>(find(key));
  return value == nullptr ? std::nullopt : std::optional<std::string_view>(*value);
}

const std::vector<std::string>* Metadata::get_strings(std::string_view key) const {
  return held_array<std::string>(find(key));
}

std::optional<std::vector<std::int64_t>> Metadata::get_ints(std::string_view key) const {
  const auto* value = find(key);
  if (const auto* integers = held_array<std::int64_t>(value)) return *integers;
  const auto* naturals = held_array<std::uint64_t>(value);
  if (naturals == nullptr) return std::nullopt;
  const bool fits = std::ranges::all_of(
      *naturals, [](std::uint64_t natural) { return std::in_range<std::int64_t>(natural); });
  if (!fits) return std::nullopt;
  return std::vector<std::int64_t>(naturals->begin(), naturals->end());
}

std::optional<std::vector<float>> Metadata::get_floats(std::string_view key) const {
  const auto* value = find(key);
  if (const auto* singles = held_array<float>(value)) return *singles;
  const auto* wides = held_array<double>(value);
  if (wides == nullptr) return std::nullopt;
  std::vector<float> floats(wides->size());
  std::ranges::transform(*wides, floats.begin(),
                         [](double wide) { return static_cast<float>(wide); });
  return floats;
}

std::uint64_t GgufTensor::rows() const {
  std::uint64_t product = dimensions.empty() ? 0 : 1;
  for (std::size_t d = 1; d < dimensions.size(); ++d) product *= dimensions[d];
  return product;
}

const GgufTensor* GgufHeader::find_tensor(std::string_view name) const {
  const auto found =
      std::ranges::find_if(tensors, [&](const GgufTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

}  // namespace checkbit
