// Filters on lists, dicts and other things that can be walked.
#include <algorithm>
#include <charconv>

#include "run/jinja/builtins.h"
#include "run/jinja/operators.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

/// An attribute path such as "address.0.city"; None is the value itself.
class Getter {
 public:
  Getter(Runtime& runtime, const Value& attribute) : runtime_(runtime) {
    if (attribute.is(Kind::none)) return;
    if (!attribute.is(Kind::string)) {
      parts_.push_back(attribute);
      return;
    }
    std::string_view path = attribute.bytes();
    while (true) {
      const std::size_t dot = std::min(path.find('.'), path.size());
      parts_.push_back(part(path.substr(0, dot)));
      if (dot == path.size()) break;
      path.remove_prefix(dot + 1);
    }
  }

  Value operator()(Value item) const {
    for (const Value& part : parts_) {
      item = get_item(runtime_, item, part);
      if (otherwise && item.is(Kind::undefined)) item = *otherwise;
    }
    return item;
  }

  std::optional<Value> otherwise;

 private:
  static Value part(std::string_view text) {
    std::int64_t index = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), index);
    const bool is_index = !text.empty() && text[0] != '-' && result.ec == std::errc() &&
                          result.ptr == text.data() + text.size();
    return is_index ? Value::integer(index) : Value::string(std::string(text));
  }

  Runtime& runtime_;
  Values parts_;
};

Value argument_or_none(const Call& call, std::size_t index) {
  return call.given[index] ? call[index] : Value::none();
}

Value ignore_case(Runtime& runtime, const Value& value) {
  return value.is(Kind::string) ? runtime.string(to_lower(value.bytes())) : value;
}

struct Keyed {
  Value key;
  Value item;
};

void sort_keyed(Runtime& runtime, std::vector<Keyed>& rows, bool reverse) {
  // Reversing before and after keeps equal rows in order, as Python's sorted(reverse=True).
  if (reverse) std::reverse(rows.begin(), rows.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const Keyed& a, const Keyed& b) { return less(runtime, a.key, b.key); });
  if (reverse) std::reverse(rows.begin(), rows.end());
}

std::vector<Keyed> keyed(Call& call, const Value& attribute, bool case_sensitive) {
  const Getter getter(call.runtime, attribute);
  std::vector<Keyed> rows;
  for (Value& item : collect(call.runtime, call.self)) {
    Value key = getter(item);
    if (!case_sensitive) key = ignore_case(call.runtime, key);
    rows.push_back({std::move(key), std::move(item)});
  }
  return rows;
}

Value items_of(Runtime& runtime, const std::vector<Keyed>& rows) {
  Values items;
  for (const Keyed& row : rows) items.push_back(row.item);
  return runtime.list(std::move(items));
}

Value extreme(Call& call, bool largest) {
  const auto rows = keyed(call, argument_or_none(call, 1), call.flag(0));
  if (rows.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &rows[0];
  for (const Keyed& row : rows) {
    if (&row == best) continue;
    const bool better =
        largest ? less(call.runtime, best->key, row.key) : less(call.runtime, row.key, best->key);
    if (better) best = &row;
  }
  return best->item;
}

/// The remaining arguments after the first `skip`, for the filter or test called per item.
Arguments pass_on(const Call& call, std::size_t skip) {
  Arguments arguments;
  arguments.positional.assign(call.rest.begin() + static_cast<std::ptrdiff_t>(skip),
                              call.rest.end());
  arguments.named = call.named;
  return arguments;
}

const Builtin& named_builtin(const Value& name, bool is_filter) {
  const Builtin* found = nullptr;
  if (name.is(Kind::string)) {
    found = is_filter ? find_filter(name.bytes()) : find_test(name.bytes());
  }
  if (found == nullptr) {
    raise(ErrorKind::unsupported, "{} '{}'", is_filter ? "filter" : "test",
          name.is(Kind::string) ? name.bytes() : std::string(type_name(name)));
  }
  return *found;
}

Value select_items(Call& call, bool keep, bool by_attribute) {
  if (!is_true(call.self)) return call.runtime.generator({});
  const std::size_t offset = by_attribute ? 1 : 0;
  if (call.rest.size() < offset) invalid("Missing parameter for attribute name");
  const Getter getter(call.runtime, by_attribute ? call.rest[0] : Value::none());
  const Builtin* test =
      call.rest.size() > offset ? &named_builtin(call.rest[offset], false) : nullptr;
  Values kept;
  Iterator iterator(call.runtime, call.self);
  for (Value item; iterator.next(item);) {
    const Value tested = getter(item);
    const bool passes = is_true(
        test == nullptr ? tested : invoke(call.runtime, *test, tested, pass_on(call, offset + 1)));
    if (passes == keep) kept.push_back(item);
  }
  return call.runtime.generator(std::move(kept));
}

}  // namespace

Value filter_select(Call& call) { return select_items(call, true, false); }
Value filter_reject(Call& call) { return select_items(call, false, false); }
Value filter_selectattr(Call& call) { return select_items(call, true, true); }
Value filter_rejectattr(Call& call) { return select_items(call, false, true); }

Value filter_map(Call& call) {
  if (!is_true(call.self)) return call.runtime.generator({});
  Values mapped;
  Iterator iterator(call.runtime, call.self);
  if (!call.rest.empty()) {
    const Builtin& filter = named_builtin(call.rest[0], true);
    for (Value item; iterator.next(item);) {
      mapped.push_back(invoke(call.runtime, filter, item, pass_on(call, 1)));
    }
    return call.runtime.generator(std::move(mapped));
  }
  Value attribute;
  std::optional<Value> otherwise;
  for (const auto& [name, value] : call.named) {
    if (name == "attribute") {
      attribute = value;
    } else if (name == "default") {
      if (!value.is(Kind::none)) otherwise = value;
    } else {
      invalid("Unexpected keyword argument '{}'", name);
    }
  }
  if (attribute.is(Kind::undefined)) invalid("map requires a filter argument");
  Getter getter(call.runtime, attribute);
  getter.otherwise = otherwise;
  for (Value item; iterator.next(item);) mapped.push_back(getter(item));
  return call.runtime.generator(std::move(mapped));
}

Value filter_first(Call& call) {
  Iterator iterator(call.runtime, call.self);
  Value item;
  return iterator.next(item) ? item : Value::undefined("No first item, sequence was empty.");
}

Value filter_last(Call& call) {
  const bool is_reversible = is_iterable(call.self) && !call.self.is(Kind::generator);
  if (!is_reversible) invalid("'{}' object is not reversible", type_name(call.self));
  const Values items = collect(call.runtime, call.self);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value filter_list(Call& call) { return call.runtime.list(collect(call.runtime, call.self)); }

Value filter_items(Call& call) {
  if (call.self.is(Kind::undefined)) return call.runtime.generator({});
  if (!call.self.is(Kind::dict)) invalid("Can only get item pairs from a mapping.");
  Values pairs;
  for (const auto& [key, value] : call.self.dict().entries) {
    pairs.push_back(call.runtime.tuple({key, value}));
  }
  return call.runtime.generator(std::move(pairs));
}

Value filter_join(Call& call) {
  const Getter getter(call.runtime, argument_or_none(call, 1));
  const std::string between = call.given[0] ? to_text(call.runtime, call[0]) : "";
  std::string out;
  bool is_first = true;
  Iterator iterator(call.runtime, call.self);
  for (Value item; iterator.next(item); is_first = false) {
    if (!is_first) out += between;
    out += to_text(call.runtime, getter(item));
    call.runtime.check_size(out.size());
  }
  return call.runtime.string(std::move(out));
}

Value filter_reverse(Call& call) {
  if (call.self.is(Kind::string)) {
    const std::string& text = call.self.bytes();
    std::string out;
    for (std::size_t at = text.size(); at > 0;) {
      std::size_t begin = at - 1;
      while (begin > 0 && at - begin < 4 && (text[begin] & 0xC0) == 0x80) --begin;
      if (begin + decode(text, begin).bytes != at) begin = at - 1;
      out.append(text, begin, at - begin);
      at = begin;
    }
    return call.runtime.string(std::move(out), call.self.text().markup);
  }
  const bool was_generator = call.self.is(Kind::generator) || call.self.is(Kind::undefined);
  Values items = collect(call.runtime, call.self);
  std::reverse(items.begin(), items.end());
  return was_generator ? call.runtime.list(std::move(items))
                       : call.runtime.generator(std::move(items));
}

Value filter_sort(Call& call) {
  std::vector<Keyed> rows;
  const bool case_sensitive = call.flag(1);
  // Each comma-separated attribute is one part of the key.
  std::vector<Getter> getters;
  const Value attribute = argument_or_none(call, 2);
  if (attribute.is(Kind::string)) {
    std::string_view paths = attribute.bytes();
    while (true) {
      const std::size_t comma = std::min(paths.find(','), paths.size());
      getters.emplace_back(call.runtime, Value::string(std::string(paths.substr(0, comma))));
      if (comma == paths.size()) break;
      paths.remove_prefix(comma + 1);
    }
  } else {
    getters.emplace_back(call.runtime, attribute);
  }
  for (Value& item : collect(call.runtime, call.self)) {
    Values key;
    for (const Getter& getter : getters) {
      key.push_back(getter(item));
      if (!case_sensitive) key.back() = ignore_case(call.runtime, key.back());
    }
    rows.push_back({call.runtime.list(std::move(key)), std::move(item)});
  }
  sort_keyed(call.runtime, rows, call.flag(0));
  return items_of(call.runtime, rows);
}

Value filter_dictsort(Call& call) {
  const std::string by = call.text_or(1, "key");
  if (by != "key" && by != "value") invalid("You can only sort by either \"key\" or \"value\"");
  require_defined(call.self);
  if (!call.self.is(Kind::dict)) {
    invalid("'{}' object has no attribute 'items'", type_name(call.self));
  }
  std::vector<Keyed> rows;
  for (const auto& [key, value] : call.self.dict().entries) {
    const Value& sorted_by = by == "key" ? key : value;
    rows.push_back({call.flag(0) ? sorted_by : ignore_case(call.runtime, sorted_by),
                    call.runtime.tuple({key, value})});
  }
  sort_keyed(call.runtime, rows, call.flag(2));
  return items_of(call.runtime, rows);
}

Value filter_unique(Call& call) {
  DictObject* seen = nullptr;
  call.runtime.dict(&seen);
  Values kept;
  for (const Keyed& row : keyed(call, argument_or_none(call, 1), call.flag(0))) {
    if (seen->find(call.runtime, row.key) != nullptr) continue;
    seen->set(call.runtime, row.key, Value::none());
    kept.push_back(row.item);
  }
  return call.runtime.generator(std::move(kept));
}

Value filter_groupby(Call& call) {
  auto rows = keyed(call, call[0], call.flag(2));
  if (call.has(1)) {
    Getter getter(call.runtime, call[0]);
    getter.otherwise = call[1];
    for (Keyed& row : rows) {
      row.key = getter(row.item);
      if (!call.flag(2)) row.key = ignore_case(call.runtime, row.key);
    }
  }
  sort_keyed(call.runtime, rows, false);
  Getter getter(call.runtime, call[0]);
  if (call.has(1)) getter.otherwise = call[1];
  Values groups;
  for (std::size_t begin = 0; begin < rows.size();) {
    std::size_t end = begin;
    Values items;
    while (end < rows.size() && equal(call.runtime, rows[end].key, rows[begin].key)) {
      items.push_back(rows[end++].item);
    }
    if (end == begin) items.push_back(rows[end++].item);  // a key unequal to itself
    const Value grouper = getter(items[0]);
    const Value group = call.runtime.tuple({grouper, call.runtime.list(std::move(items))});
    group.list().is_group = true;
    groups.push_back(group);
    begin = end;
  }
  return call.runtime.list(std::move(groups));
}

Value filter_sum(Call& call) {
  const Getter getter(call.runtime, argument_or_none(call, 0));
  Value total = call.given[1] ? call[1] : Value::integer(0);
  if (total.is(Kind::string)) invalid("sum() can't sum strings [use ''.join(seq) instead]");
  Iterator iterator(call.runtime, call.self);
  for (Value item; iterator.next(item);) {
    total = apply(call.runtime, Op::add, total, getter(item));
  }
  return total;
}

Value filter_min(Call& call) { return extreme(call, false); }
Value filter_max(Call& call) { return extreme(call, true); }

Value filter_batch(Call& call) {
  const std::int64_t size = call.integer(0, 0);
  Values batches;
  Values batch;
  const auto flush = [&] { batches.push_back(call.runtime.list(std::exchange(batch, {}))); };
  Iterator iterator(call.runtime, call.self);
  for (Value item; iterator.next(item);) {
    if (static_cast<std::int64_t>(batch.size()) == size) flush();
    batch.push_back(item);
  }
  if (!batch.empty()) {
    while (call.has(1) && static_cast<std::int64_t>(batch.size()) < size) {
      call.runtime.charge();
      batch.push_back(call[1]);
    }
    flush();
  }
  return call.runtime.generator(std::move(batches));
}

Value filter_slice(Call& call) {
  const Values items = collect(call.runtime, call.self);
  const std::int64_t slices = call.integer(0, 0);
  if (slices == 0) invalid("integer division or modulo by zero");
  const auto length = static_cast<std::int64_t>(items.size());
  Values parts;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    call.runtime.charge();
    const bool is_long = i < length % slices;
    const std::int64_t end = begin + length / slices + (is_long ? 1 : 0);
    Values part(items.begin() + begin, items.begin() + end);
    if (call.has(1) && !is_long) part.push_back(call[1]);
    parts.push_back(call.runtime.list(std::move(part)));
    begin = end;
  }
  return call.runtime.generator(std::move(parts));
}

}  // namespace checkbit::jinja
