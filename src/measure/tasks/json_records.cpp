#include "measure/tasks/json_records.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "file/gzip.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kMostUnpackedBytes = 256ULL << 20;

constexpr std::size_t kDeepest = 64;

struct Piece {
  std::size_t line = 0;
  std::string_view text;
};

std::size_t line_at(std::string_view text, std::size_t byte) {
  return 1 + static_cast<std::size_t>(
                 std::ranges::count(text.substr(0, std::min(byte, text.size())), '\n'));
}

/// Walks JSON text by brackets and strings alone.
class Brackets {
 public:
  /// Depth before the character.
  std::size_t depth() const { return depth_; }
  bool in_string() const { return in_string_; }
  void step(char c) {
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return;
    }
    if (c == '"') in_string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if ((c == '}' || c == ']') && depth_ > 0) --depth_;
  }

 private:
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::vector<Piece> split_lines(std::string_view text) {
  std::vector<Piece> pieces;
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view one = text.substr(at, end - at);
    if (!is_blank(one)) pieces.push_back({line, one});
    at = end + 1;
  }
  return pieces;
}

/// The elements of an array; `text` begins with its bracket, at `line`.
Result<std::vector<Piece>> split_array(const std::string& path, std::string_view text,
                                       std::size_t line) {
  std::vector<Piece> pieces;
  Brackets brackets;
  std::size_t at = 0;
  Piece piece;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') ++line;
    const bool between = !brackets.in_string() && brackets.depth() == 1;
    if (between && (c == ',' || c == ']')) {
      if (piece.text.empty()) piece.line = line;
      pieces.push_back(std::exchange(piece, {}));
      if (c == ']' && pieces.back().text.empty()) pieces.pop_back();  // [] or a last comma
    } else if (brackets.depth() > 0 && (!piece.text.empty() || !is_blank(text.substr(at, 1)))) {
      if (piece.text.empty()) piece.line = line;
      const std::size_t before = piece.text.size();
      piece.text = text.substr(at - before, before + 1);
    }
    brackets.step(c);
    if (brackets.depth() == 0) break;
  }
  if (at == text.size()) return task_error(path, line, "the array of the file has no end");
  if (!is_blank(text.substr(at + 1))) return task_error(path, line, "text follows the array");
  return pieces;
}

Status check_depth(const std::string& path, const Piece& piece) {
  Brackets brackets;
  for (const char c : piece.text) {
    brackets.step(c);
    if (brackets.depth() > kDeepest)
      return task_error(path, piece.line, "nested deeper than any task file is");
  }
  return {};
}

std::string quoted(std::string_view field) { return "\"" + std::string(field) + "\""; }

}  // namespace

Error task_error(const std::string& path, std::size_t line, std::string_view what) {
  return fail(ErrorKind::invalid, "{}:{}: {}", path, line, what);
}

Result<std::vector<JsonRecord>> read_json_records(const TaskInput& input) {
  if (is_gzip(input.text)) {
    CB_TRY(std::string unpacked, gunzip(input.text, input.path, kMostUnpackedBytes));
    return read_json_records({input.path, std::move(unpacked)});
  }
  const std::string_view text = input.text;
  if (const auto bad = first_invalid_utf8(text))
    return task_error(input.path, line_at(text, *bad), "not valid UTF-8");
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos)
    return fail(ErrorKind::invalid, "{}: the file is empty; expected JSON objects", input.path);
  std::vector<Piece> pieces;
  if (text[begin] == '[') {
    CB_TRY(pieces, split_array(input.path, text.substr(begin), line_at(text, begin)));
  } else {
    pieces = split_lines(text);
  }
  std::vector<JsonRecord> records;
  for (const Piece& piece : pieces) {
    CB_TRY_STATUS(check_depth(input.path, piece));
    nlohmann::json value = nlohmann::json::parse(piece.text, nullptr, false);
    if (value.is_discarded())
      return task_error(input.path, piece.line, "expected one whole JSON object");
    if (!value.is_object())
      return task_error(input.path, piece.line, "expected a JSON object, with braces");
    records.emplace_back(input.path, piece.line, std::move(value));
  }
  if (records.empty()) return task_error(input.path, 1, "the array has no items");
  return records;
}

Error JsonRecord::error(std::string_view what) const { return task_error(path_, line_, what); }

Result<nlohmann::json> JsonRecord::get(std::string_view field) const {
  const auto found = value_.find(field);
  if (found == value_.end()) return error(quoted(field) + " is missing");
  return *found;
}

Result<JsonRecord> JsonRecord::inner(std::string_view field) const {
  CB_TRY(nlohmann::json value, get(field));
  if (!value.is_object()) return error(quoted(field) + " is not an object");
  return JsonRecord(path_, line_, std::move(value));
}

Result<std::string> JsonRecord::text(std::string_view field) const {
  CB_TRY(const nlohmann::json value, get(field));
  if (!value.is_string()) return error(quoted(field) + " is not a text");
  return value.get<std::string>();
}

Result<std::vector<std::string>> JsonRecord::texts(std::string_view field) const {
  CB_TRY(const nlohmann::json value, get(field));
  const auto is_text = [](const nlohmann::json& one) { return one.is_string(); };
  if (!value.is_array() || !std::ranges::all_of(value, is_text))
    return error(quoted(field) + " is not an array of texts");
  return value.get<std::vector<std::string>>();
}

Result<std::vector<JsonRecord>> JsonRecord::inners(std::string_view field) const {
  CB_TRY(nlohmann::json value, get(field));
  if (!value.is_array()) return error(quoted(field) + " is not an array of objects");
  std::vector<JsonRecord> records;
  for (nlohmann::json& one : value) {
    if (!one.is_object()) return error(quoted(field) + " is not an array of objects");
    records.emplace_back(path_, line_, std::move(one));
  }
  return records;
}

Result<std::size_t> JsonRecord::index(std::string_view field) const {
  CB_TRY(const nlohmann::json value, get(field));
  if (value.is_number_unsigned()) return value.get<std::size_t>();
  std::size_t number = 0;
  if (value.is_string()) {
    const std::string& digits = value.get_ref<const std::string&>();
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end && !digits.empty()) return number;
  }
  return error(quoted(field) + " is not a whole number from 0");
}

Result<TaskData> load_json_items(const TaskInput& input,
                                 Result<TaskItem> (*make_item)(const JsonRecord& record)) {
  CB_TRY(const std::vector<JsonRecord> records, read_json_records(input));
  TaskData data;
  for (const JsonRecord& record : records) {
    CB_TRY(TaskItem item, make_item(record));
    data.items.push_back(std::move(item));
  }
  return data;
}

}  // namespace checkbit
