// Methods of lists, tuples, dicts and `loop`.
#include <algorithm>

#include "run/jinja/builtins.h"

namespace checkbit::jinja {
namespace {

Value make_view(Call& call, ViewObject::Part part) {
  call.runtime.charge();
  auto* view = call.runtime.heap().make<ViewObject>();
  view->dict = &call.self.dict();
  view->part = part;
  return Value::object(Kind::view, view);
}

}  // namespace

Value list_copy(Call& call) { return call.runtime.list(call.self.list().items); }

Value list_count(Call& call) {
  const Values& items = call.self.list().items;
  return Value::integer(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(call.runtime, item, call[0]);
  }));
}

Value list_index(Call& call) {
  const Values& items = call.self.list().items;
  const auto length = static_cast<std::int64_t>(items.size());
  const auto bound = [&](std::size_t index, std::int64_t otherwise) {
    const std::int64_t at = call.integer(index, otherwise);
    return std::clamp<std::int64_t>(at < 0 ? at + length : at, 0, length);
  };
  const std::int64_t stop = bound(2, length);
  for (std::int64_t i = bound(1, 0); i < stop; ++i) {
    if (equal(call.runtime, items[static_cast<std::size_t>(i)], call[0])) return Value::integer(i);
  }
  invalid("{} is not in the list", to_repr(call.runtime, call[0]));
}

Value dict_copy(Call& call) {
  DictObject* copy = nullptr;
  const Value value = call.runtime.dict(&copy);
  for (const auto& [key, item] : call.self.dict().entries) copy->set(call.runtime, key, item);
  return value;
}

Value dict_get(Call& call) {
  const Value* found = call.self.dict().find(call.runtime, call[0]);
  if (found != nullptr) return *found;
  return call.given[1] ? call[1] : Value::none();
}

Value dict_items(Call& call) { return make_view(call, ViewObject::Part::items); }
Value dict_keys(Call& call) { return make_view(call, ViewObject::Part::keys); }
Value dict_values(Call& call) { return make_view(call, ViewObject::Part::values); }

Value loop_cycle(Call& call) {
  if (call.rest.empty()) invalid("no items for cycling given");
  const auto index = static_cast<std::size_t>(std::max<std::int64_t>(0, call.self.loop().index0));
  return call.rest[index % call.rest.size()];
}

Value loop_changed(Call& call) {
  auto& last = call.self.loop().last_changed;
  const bool same =
      last && last->size() == call.rest.size() &&
      std::equal(last->begin(), last->end(), call.rest.begin(),
                 [&](const Value& a, const Value& b) { return equal(call.runtime, a, b); });
  if (!same) last = call.rest;
  return Value::boolean(!same);
}

}  // namespace checkbit::jinja
