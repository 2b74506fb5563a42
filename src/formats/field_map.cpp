#include "formats/field_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

namespace checkbit {

#define CHECKBIT_FORMAT(stem) extern const Format stem##_format;
#include "formats/formats.def"
#undef CHECKBIT_FORMAT

namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Field::count)> kFieldNames = {
    "quant", "value", "sign", "scale", "min", "super_scale", "super_min", "sum"};
constexpr std::array<std::string_view, static_cast<std::size_t>(FieldPart::count)> kPartNames = {
    "whole", "mantissa", "exponent", "sign"};

struct FloatWidth {
  std::string_view name;
  std::uint32_t mantissa;
  std::uint32_t exponent;
};
constexpr std::array kFloatWidths = {FloatWidth{"f16", 10, 5}, FloatWidth{"bf16", 7, 8},
                                     FloatWidth{"f32", 23, 8}, FloatWidth{"f64", 52, 11}};

template <class Enum, class Names>
Enum named(const Names& names, std::string_view name) {
  return static_cast<Enum>(std::ranges::find(names, name) - names.begin());
}

/// Walks a layout once; `position` stands behind what has been read.
class LayoutParser {
 public:
  explicit LayoutParser(std::string_view text) : text_(text) {}

  Result<FieldMap> parse() {
    CB_TRY_STATUS(items());
    if (position_ != text_.size()) return wrong("a closing bracket too many");
    return builder_.take();
  }

 private:
  static constexpr int kMostNested = 4;
  static constexpr std::uint32_t kMostBits = 1u << 20;

  Error wrong(std::string_view what) const {
    return fail(ErrorKind::invalid, "layout \"{}\", character {}: {}", text_, position_, what);
  }
  char next() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  bool accept(char c) {
    if (next() != c) return false;
    ++position_;
    return true;
  }
  std::string_view word() {
    const std::size_t begin = position_;
    while (position_ < text_.size() && std::string_view(" :()*.").find(next()) == std::string::npos)
      ++position_;
    return text_.substr(begin, position_ - begin);
  }
  static std::uint32_t number(std::string_view digits) {
    std::uint32_t value = 0;
    const auto end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    return error == std::errc() && stop == end && value <= kMostBits ? value : 0;
  }

  Status items() {
    do {
      CB_TRY_STATUS(item());
    } while (accept(' '));
    return {};
  }

  Status item() {
    const std::size_t begin = position_;
    std::uint32_t count = 1;
    const std::string_view digits = word();
    if (accept('*')) {
      count = number(digits);
      if (count == 0) return wrong("a count before '*' is missing");
    } else {
      position_ = begin;
    }
    const std::size_t repeated = position_;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (builder_.bits() > kMostBits) return wrong("a block of more than a million bits");
      position_ = repeated;
      CB_TRY_STATUS(once());
    }
    return {};
  }

  Status once() {
    if (!accept('(')) return field();
    if (++nested_ > kMostNested) return wrong("brackets are nested too deep");
    CB_TRY_STATUS(items());
    --nested_;
    if (!accept(')')) return wrong("a closing bracket is missing");
    return {};
  }

  Status field() {
    const auto field = named<Field>(kFieldNames, word());
    if (field == Field::count) return wrong("no such field");
    FieldPart part = FieldPart::whole;
    if (accept('.')) {
      part = named<FieldPart>(kPartNames, word());
      if (part == FieldPart::count) return wrong("no such part");
    }
    if (!accept(':')) return wrong("':' and a width are missing");
    const std::string_view width = word();
    const auto floating = std::ranges::find(kFloatWidths, width, &FloatWidth::name);
    if (floating != kFloatWidths.end()) {
      builder_.add_float(field, floating->mantissa, floating->exponent);
      return {};
    }
    const std::uint32_t bits = number(width);
    if (bits == 0) return wrong("no such width");
    builder_.add(field, part, bits);
    return {};
  }

  std::string_view text_;
  std::size_t position_ = 0;
  int nested_ = 0;
  FieldMapBuilder builder_;
};

std::map<const Format*, FieldMap> make_maps() {
  std::map<const Format*, FieldMap> maps;
  const auto add = [&](const Format& format, std::string_view layout) {
    auto map = parse_field_map(layout);
    CB_CHECK(map.ok());
    maps.emplace(&format, std::move(*map));
  };
#define CHECKBIT_FIELDS(stem, layout) add(stem##_format, layout);
#include "formats/fields.def"
#undef CHECKBIT_FIELDS
  return maps;
}

}  // namespace

std::string_view to_string(Field field) { return kFieldNames[static_cast<std::size_t>(field)]; }
std::string_view to_string(FieldPart part) { return kPartNames[static_cast<std::size_t>(part)]; }

const FieldRun& FieldMap::run_at(std::uint32_t bit) const {
  CB_CHECK(bit < bits);
  const auto after =
      std::ranges::upper_bound(runs, bit, {}, [](const FieldRun& run) { return run.first_bit; });
  return *(after - 1);
}

void FieldMapBuilder::add(Field field, FieldPart part, std::uint32_t bits) {
  std::vector<FieldRun>& runs = map_.runs;
  if (!runs.empty() && runs.back().field == field && runs.back().part == part) {
    runs.back().bits += bits;
  } else {
    runs.push_back({field, part, map_.bits, bits});
  }
  map_.bits += bits;
}

void FieldMapBuilder::add_float(Field field, std::uint32_t mantissa, std::uint32_t exponent) {
  add(field, FieldPart::mantissa, mantissa);
  add(field, FieldPart::exponent, exponent);
  add(field, FieldPart::sign, 1);
}

Result<FieldMap> parse_field_map(std::string_view layout) { return LayoutParser(layout).parse(); }

const FieldMap& field_map(const Format& format) {
  static const std::map<const Format*, FieldMap> maps = make_maps();
  const auto found = maps.find(&format);
  CB_CHECK(found != maps.end());  // field_map_test walks formats.def
  return found->second;
}

bool FieldSelector::matches(const FieldRun& run) const {
  if (field == Field::sign && part == FieldPart::count)
    return run.field == Field::sign || run.part == FieldPart::sign;
  return (field == Field::count || field == run.field) &&
         (part == FieldPart::count || part == run.part);
}

Result<FieldSelector> parse_field_selector(std::string_view text) {
  FieldSelector selector{.text = std::string(text)};
  std::ranges::replace(selector.text, '-', '_');
  if (selector.text == "all") return selector;
  const std::string_view whole = selector.text;
  const std::size_t dot = whole.find('.');
  const std::string_view name = whole.substr(0, dot);
  selector.field = named<Field>(kFieldNames, name);
  if (dot != std::string_view::npos || selector.field == Field::count)
    selector.part =
        named<FieldPart>(kPartNames, dot == std::string_view::npos ? name : whole.substr(dot + 1));
  const bool known = dot == std::string_view::npos
                         ? selector.field != Field::count || selector.part != FieldPart::count
                         : selector.field != Field::count && selector.part != FieldPart::count;
  if (known) return selector;
  return fail(ErrorKind::invalid,
              "field \"{}\" is not known; there are all, {}, exponent and mantissa, and parts as "
              "scale.exponent",
              text, fmt::join(kFieldNames, ", "));
}

}  // namespace checkbit
