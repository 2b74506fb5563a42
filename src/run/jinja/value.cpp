#include "run/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "run/jinja/unicode.h"

namespace checkbit::jinja {

Text::Text(std::string bytes_in, bool markup_in)
    : bytes(std::move(bytes_in)), markup(markup_in), ascii(is_ascii(bytes)) {}

Value Value::boolean(bool b) {
  Value value(Kind::boolean);
  value.scalar_.integer = b ? 1 : 0;
  return value;
}
Value Value::integer(std::int64_t i) {
  Value value(Kind::integer);
  value.scalar_.integer = i;
  return value;
}
Value Value::real(double d) {
  Value value(Kind::real);
  value.scalar_.real = d;
  return value;
}
Value Value::string(std::string bytes, bool markup) {
  Value value(Kind::string);
  value.text_ = std::make_shared<const Text>(std::move(bytes), markup);
  return value;
}
Value Value::undefined(std::string why) {
  Value value(Kind::undefined);
  value.text_ = std::make_shared<const Text>(std::move(why));
  return value;
}
Value Value::object(Kind kind, Object* object) {
  Value value(kind);
  value.scalar_.object = object;
  return value;
}

double Value::as_real() const {
  return kind_ == Kind::real ? scalar_.real : static_cast<double>(scalar_.integer);
}
const std::string& Value::why() const {
  static const std::string kNoReason = "value is undefined";
  return text_ ? text_->bytes : kNoReason;
}

template <class T>
T& Value::as() const {
  return *static_cast<T*>(scalar_.object);
}
ListObject& Value::list() const { return as<ListObject>(); }
DictObject& Value::dict() const { return as<DictObject>(); }
ViewObject& Value::view() const { return as<ViewObject>(); }
GeneratorObject& Value::generator() const { return as<GeneratorObject>(); }
RangeObject& Value::range() const { return as<RangeObject>(); }
CallableObject& Value::callable() const { return as<CallableObject>(); }
LoopObject& Value::loop() const { return as<LoopObject>(); }

std::optional<std::size_t> DictObject::position(Runtime* runtime, const Value& key,
                                                std::size_t hash_value) const {
  const auto [begin, end] = positions_.equal_range(hash_value);
  for (auto it = begin; it != end; ++it) {
    const Value& other = entries[it->second].first;
    const bool both_text = key.is(Kind::string) && other.is(Kind::string);
    if (both_text ? key.bytes() == other.bytes() : runtime && equal(*runtime, key, other)) {
      return it->second;
    }
  }
  return std::nullopt;
}

void DictObject::set(Runtime& runtime, Value key, Value value) {
  const std::size_t key_hash = hash(runtime, key);
  if (const auto found = position(&runtime, key, key_hash)) {
    entries[*found].second = std::move(value);
    return;
  }
  runtime.charge();
  positions_.emplace(key_hash, entries.size());
  entries.emplace_back(std::move(key), std::move(value));
}

const Value* DictObject::find(Runtime& runtime, const Value& key) const {
  const auto found = position(&runtime, key, hash(runtime, key));
  return found ? &entries[*found].second : nullptr;
}

const Value* DictObject::find(std::string_view key) const {
  const auto [begin, end] = positions_.equal_range(std::hash<std::string_view>()(key));
  for (auto it = begin; it != end; ++it) {
    const Entry& entry = entries[it->second];
    if (entry.first.is(Kind::string) && entry.first.bytes() == key) return &entry.second;
  }
  return nullptr;
}

bool LoopObject::has_next() {
  Value item;
  if (ahead.empty() && pull(item)) ahead.push_back(std::move(item));
  return !ahead.empty();
}

bool LoopObject::next() {
  if (!has_next()) return false;
  previous = std::move(current);
  current = std::move(ahead.front());
  ahead.pop_front();
  ++index0;
  return true;
}

std::int64_t LoopObject::length() {
  for (Value item; pull(item);) ahead.push_back(std::move(item));
  return index0 + 1 + static_cast<std::int64_t>(ahead.size());
}

namespace {
/// Bytes copied for the price of one step.
constexpr std::size_t kBytesPerStep = 64;
}  // namespace

void Runtime::charge(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ > bounds_.max_steps) {
    raise(ErrorKind::budget, "more than {} steps", bounds_.max_steps);
  }
}

void Runtime::check_size(std::size_t bytes) const {
  if (bytes > bounds_.max_output_bytes) {
    raise(ErrorKind::budget, "text longer than {} bytes", bounds_.max_output_bytes);
  }
}

void Runtime::charge_bytes(std::size_t bytes) {
  check_size(bytes);
  charge(bytes / kBytesPerStep);
}

Runtime::Level::Level(Runtime& runtime) : runtime_(runtime) {
  if (++runtime.depth_ > runtime.bounds_.max_depth) {
    --runtime.depth_;
    raise(ErrorKind::budget, "more than {} levels of nesting", runtime.bounds_.max_depth);
  }
}

Value Runtime::string(std::string bytes, bool markup) {
  charge_bytes(bytes.size());
  return Value::string(std::move(bytes), markup);
}
Value Runtime::list(Values items) {
  charge(1 + items.size());
  auto* object = heap_.make<ListObject>();
  object->items = std::move(items);
  return Value::object(Kind::list, object);
}
Value Runtime::tuple(Values items) {
  const Value value = list(std::move(items));
  return Value::object(Kind::tuple, &value.list());
}
Value Runtime::generator(Values items) {
  charge(1 + items.size());
  auto* object = heap_.make<GeneratorObject>();
  object->items = std::move(items);
  return Value::object(Kind::generator, object);
}
Value Runtime::dict(DictObject** made) {
  charge();
  *made = heap_.make<DictObject>();
  return Value::object(Kind::dict, *made);
}
Value Runtime::method(const Builtin& builtin, const Value& self) {
  charge();
  auto* object = heap_.make<CallableObject>();
  object->builtin = &builtin;
  object->self = self;
  return Value::object(Kind::callable, object);
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.text().markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::view:
      return value.view().part == ViewObject::Part::keys     ? "dict_keys"
             : value.view().part == ViewObject::Part::values ? "dict_values"
                                                             : "dict_items";
    case Kind::generator:
      return "generator";
    case Kind::range:
      return "range";
    case Kind::space:
      return "Namespace";
    case Kind::callable:
      return value.callable().macro != nullptr ? "Macro" : "function";
    case Kind::loop:
      return "LoopContext";
  }
  return "object";
}

bool is_true(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return value.as_integer() != 0;
    case Kind::real:
      return value.as_real() != 0;
    default: {
      const bool always =
          value.is(Kind::generator) || value.is(Kind::space) || value.is(Kind::callable);
      return always || length_of(value).value_or(1) != 0;
    }
  }
}

void require_defined(const Value& value) {
  if (value.is(Kind::undefined)) invalid("{}", value.why());
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::none:
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
    case Kind::space:
    case Kind::callable:
      return false;
    default:
      return true;
  }
}

std::optional<std::int64_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<std::int64_t>(value.text().ascii ? value.bytes().size()
                                                          : count_code_points(value.bytes()));
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.list().items.size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.dict().entries.size());
    case Kind::view:
      return static_cast<std::int64_t>(value.view().dict->entries.size());
    case Kind::range:
      return value.range().length;
    case Kind::loop:
      return value.loop().length();
    default:
      return std::nullopt;
  }
}

Iterator::Iterator(Runtime& runtime, const Value& source) : runtime_(runtime), source_(source) {
  if (source.is(Kind::loop)) raise(ErrorKind::unsupported, "iterating over 'loop'");
  if (!is_iterable(source)) invalid("'{}' object is not iterable", type_name(source));
}

bool Iterator::next(Value& item) {
  runtime_.charge();
  const auto from_entry = [&](const DictObject::Entry& entry, ViewObject::Part part) {
    if (part == ViewObject::Part::keys) return entry.first;
    if (part == ViewObject::Part::values) return entry.second;
    return runtime_.tuple({entry.first, entry.second});
  };
  switch (source_.kind()) {
    case Kind::string: {
      if (position_ >= source_.bytes().size()) return false;
      const std::size_t bytes = decode(source_.bytes(), position_).bytes;
      item = Value::string(source_.bytes().substr(position_, bytes), source_.text().markup);
      position_ += bytes;
      return true;
    }
    case Kind::list:
    case Kind::tuple:
      if (position_ >= source_.list().items.size()) return false;
      item = source_.list().items[position_++];
      return true;
    case Kind::dict:
      if (position_ >= source_.dict().entries.size()) return false;
      item = source_.dict().entries[position_++].first;
      return true;
    case Kind::view: {
      const ViewObject& view = source_.view();
      if (position_ >= view.dict->entries.size()) return false;
      item = from_entry(view.dict->entries[position_++], view.part);
      return true;
    }
    case Kind::generator: {
      GeneratorObject& generator = source_.generator();
      if (generator.position >= generator.items.size()) return false;
      item = generator.items[generator.position++];
      return true;
    }
    case Kind::range: {
      const auto index = static_cast<std::int64_t>(position_);
      if (index >= source_.range().length) return false;
      item = Value::integer(source_.range().at(index));
      ++position_;
      return true;
    }
    default:
      return false;  // undefined: nothing
  }
}

Values collect(Runtime& runtime, const Value& source) {
  Values items;
  Iterator iterator(runtime, source);
  for (Value item; iterator.next(item);) items.push_back(item);
  return items;
}

}  // namespace checkbit::jinja
