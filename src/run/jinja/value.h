// The values templates work with, as Python has them.
//
// What: `Value` is a small tagged value. Strings are shared and immutable; containers, callables
//   and loops are objects owned by the `Heap` of one rendering, so that cycles (a namespace that
//   holds itself) cost nothing and destruction is never deep.
// `Runtime` counts steps and bytes; whatever may be long takes one and charges it.
// Errors: Fault (fault.h).
// Threads: a Heap and a Runtime belong to one rendering; constants of a parsed template are shared
//   and read-only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "run/jinja/fault.h"

namespace checkbit::jinja {

class Runtime;
class Value;
struct Builtin;
struct Scope;
struct Stmt;

enum class Kind : std::uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  view,
  generator,
  range,
  space,
  callable,
  loop
};

struct Text {
  explicit Text(std::string bytes_in, bool markup_in = false);
  std::string bytes;
  bool markup;  ///< made by `safe` or `escape`: joined with + it escapes plain text
  bool ascii;
};

/// Owned by a Heap.
struct Object {
  virtual ~Object() = default;
};
struct ListObject;
struct DictObject;
struct ViewObject;
struct GeneratorObject;
struct RangeObject;
struct CallableObject;
struct LoopObject;

class Value {
 public:
  Value() = default;  ///< undefined
  static Value none() { return Value(Kind::none); }
  static Value boolean(bool b);
  static Value integer(std::int64_t i);
  static Value real(double d);
  static Value string(std::string bytes, bool markup = false);
  /// `why`: the message of the error that using the value gives.
  static Value undefined(std::string why);
  static Value object(Kind kind, Object* object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_number() const {
    return kind_ == Kind::boolean || kind_ == Kind::integer || kind_ == Kind::real;
  }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }

  bool as_bool() const { return scalar_.integer != 0; }
  std::int64_t as_integer() const { return scalar_.integer; }  ///< of boolean or integer
  double as_real() const;                                      ///< of any number
  const Text& text() const { return *text_; }                  ///< of string
  const std::string& bytes() const { return text_->bytes; }    ///< of string
  const std::string& why() const;                              ///< of undefined
  ListObject& list() const;                                    ///< of list or tuple
  DictObject& dict() const;                                    ///< of dict or namespace
  ViewObject& view() const;
  GeneratorObject& generator() const;
  RangeObject& range() const;
  CallableObject& callable() const;
  LoopObject& loop() const;
  const Object* object() const { return scalar_.object; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  template <class T>
  T& as() const;

  Kind kind_ = Kind::undefined;
  union {
    std::int64_t integer;
    double real;
    Object* object;
  } scalar_ = {0};
  std::shared_ptr<const Text> text_;
};

using Values = std::vector<Value>;

struct ListObject : Object {
  Values items;
  bool is_group = false;  ///< a tuple of groupby: has the attributes `grouper` and `list`
};

/// Keeps the order of insertion.
struct DictObject : Object {
  using Entry = std::pair<Value, Value>;
  std::vector<Entry> entries;
  void set(Runtime& runtime, Value key, Value value);
  const Value* find(Runtime& runtime, const Value& key) const;
  const Value* find(std::string_view key) const;

 private:
  std::optional<std::size_t> position(Runtime* runtime, const Value& key, std::size_t hash) const;
  std::unordered_multimap<std::size_t, std::size_t> positions_;  ///< hash to index in entries
};

struct ViewObject : Object {
  enum class Part : std::uint8_t { keys, values, items };
  const DictObject* dict = nullptr;
  Part part = Part::keys;
};

/// What filters such as map and select return: can be walked once.
struct GeneratorObject : Object {
  Values items;
  std::size_t position = 0;
};

struct RangeObject : Object {
  std::int64_t start = 0, stop = 0, step = 1, length = 0;
  std::int64_t at(std::int64_t index) const { return start + index * step; }
};

struct CallableObject : Object {
  const Builtin* builtin = nullptr;
  Value self;                   ///< of a bound method
  const Stmt* macro = nullptr;  ///< macro or call block, with the scope it was defined in
  Scope* scope = nullptr;
};

/// The variable `loop`. `pull` produces the next item or returns false.
struct LoopObject : Object {
  std::function<bool(Value&)> pull;
  std::deque<Value> ahead;  ///< pulled but not visited
  Value previous, current;
  std::int64_t index0 = -1;
  int depth0 = 0;
  std::optional<Values> last_changed;
  const Stmt* recursive = nullptr;  ///< the loop statement when it is marked recursive
  Scope* scope = nullptr;

  bool next();
  bool has_next();
  std::int64_t length();
};

class Heap {
 public:
  template <class T>
  T* make() {
    auto owned = std::make_unique<T>();
    T* object = owned.get();
    objects_.push_back(std::move(owned));
    return object;
  }

 private:
  std::vector<std::unique_ptr<Object>> objects_;
};

struct Bounds {
  std::uint64_t max_steps = 0;
  int max_depth = 0;
  std::size_t max_output_bytes = 0;
};

class Runtime {
 public:
  Runtime(const Bounds& bounds, std::int64_t now_seconds)
      : bounds_(bounds), now_seconds_(now_seconds) {}

  void charge(std::uint64_t steps = 1);
  /// For making or reading a text of this size; fails when it is beyond the output limit.
  void charge_bytes(std::size_t bytes);
  void check_size(std::size_t bytes) const;
  std::int64_t now_seconds() const { return now_seconds_; }
  Heap& heap() { return heap_; }

  Value string(std::string bytes, bool markup = false);
  Value list(Values items);
  Value tuple(Values items);
  Value generator(Values items);
  Value dict(DictObject** made);
  Value method(const Builtin& builtin, const Value& self);

  /// Holds one level of nesting.
  class Level {
   public:
    explicit Level(Runtime& runtime);
    ~Level() { --runtime_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  Bounds bounds_;
  std::int64_t now_seconds_;
  std::uint64_t steps_ = 0;
  int depth_ = 0;
  Heap heap_;
};

/// Python's name of the value's type: "str", "dict", "NoneType".
std::string_view type_name(const Value& value);
bool is_true(const Value& value);
/// str(value) and repr(value).
std::string to_text(Runtime& runtime, const Value& value);
std::string to_repr(Runtime& runtime, const Value& value);
void append_repr(Runtime& runtime, std::string& out, const Value& value);
std::string real_repr(double value);

bool equal(Runtime& runtime, const Value& a, const Value& b);
/// a < b; fails for types that Python does not order.
bool less(Runtime& runtime, const Value& a, const Value& b);
std::size_t hash(Runtime& runtime, const Value& value);

/// Fails with the value's message when it is undefined.
void require_defined(const Value& value);

/// Walks what Python can iterate over; the constructor fails for the rest.
class Iterator {
 public:
  Iterator(Runtime& runtime, const Value& source);
  bool next(Value& item);

 private:
  Runtime& runtime_;
  Value source_;
  std::size_t position_ = 0;
};

bool is_iterable(const Value& value);
Values collect(Runtime& runtime, const Value& source);
/// len(value), or nothing for types without a length.
std::optional<std::int64_t> length_of(const Value& value);

}  // namespace checkbit::jinja
