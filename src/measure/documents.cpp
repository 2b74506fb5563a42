#include "measure/documents.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "measure/tasks/json_records.h"

namespace checkbit {
namespace {

constexpr std::size_t kLongestTitleBytes = 60;

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpaces = " \t\r\v\f";
  const std::size_t begin = line.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpaces) - begin + 1);
}

/// "Title" of "= Title =", nothing for "= = Section = =" and other lines.
std::optional<std::string_view> article_title(std::string_view line) {
  if (line.size() < 5 || !line.starts_with("= ") || !line.ends_with(" =")) return std::nullopt;
  const std::string_view title = trimmed(line.substr(2, line.size() - 4));
  if (title.empty() || title.front() == '=' || title.back() == '=') return std::nullopt;
  return title;
}

/// At most so many bytes, cut between two characters.
std::string shortened(std::string_view title) {
  if (title.size() <= kLongestTitleBytes) return std::string(title);
  std::size_t end = kLongestTitleBytes;
  while (end > 0 && (static_cast<unsigned char>(title[end]) & 0xC0U) == 0x80U) --end;
  return std::string(title.substr(0, end)) + "…";
}

/// The line that begins at `at`, without its end.
std::string_view line_at(std::string_view text, std::size_t at) {
  return text.substr(at, text.find('\n', at) - at);
}

/// The first words after a break, or a number.
std::string title_after(std::string_view text, std::size_t at, std::size_t number) {
  while (at < text.size()) {
    const std::string_view line = line_at(text, at);
    if (const std::string_view words = trimmed(line); !words.empty()) return shortened(words);
    at += line.size() + 1;
  }
  return fmt::format("document {}", number);
}

Result<DocumentText> read_json_documents(const std::string& path, std::string content) {
  CB_TRY(const std::vector<JsonRecord> records, read_json_records({path, std::move(content)}));
  DocumentText documents;
  for (const JsonRecord& record : records) {
    CB_TRY(const std::string text, record.text("text"));
    if (trimmed(text).empty()) continue;
    if (!documents.text.empty()) documents.text += "\n\n";
    DocumentStart start{"", documents.text.size()};
    documents.text += text;
    for (const char* field : {"title", "id"}) {
      const auto found = record.value().find(field);
      if (start.title.empty() && found != record.value().end() && found->is_string())
        start.title = shortened(trimmed(found->get_ref<const std::string&>()));
    }
    if (start.title.empty())
      start.title = title_after(documents.text, start.byte, documents.starts.size() + 1);
    documents.starts.push_back(std::move(start));
  }
  if (documents.starts.size() < 2) documents.starts.clear();
  return documents;
}

}  // namespace

Result<DocumentText> read_documents(const std::string& path, std::string content,
                                    std::string_view break_line) {
  if (path.ends_with(".jsonl")) return read_json_documents(path, std::move(content));
  DocumentText documents{std::move(content), {}};
  documents.starts = find_document_starts(documents.text, break_line);
  return documents;
}

std::vector<DocumentStart> find_document_starts(std::string_view text,
                                                std::string_view break_line) {
  const std::string_view wanted = trimmed(break_line);
  std::vector<DocumentStart> starts;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    const std::string_view words = trimmed(line);
    const std::size_t next = at + line.size() + 1;
    if (!wanted.empty()) {
      if (words == wanted) starts.push_back({title_after(text, next, starts.size() + 1), at});
    } else if (const auto title = article_title(words)) {
      starts.push_back({shortened(*title), at});
    }
    at = next;
  }
  const bool begins_before =
      !starts.empty() &&
      text.substr(0, starts.front().byte).find_first_not_of(" \t\r\n") != std::string_view::npos;
  if (begins_before) starts.insert(starts.begin(), {title_after(text, 0, 1), 0});
  if (starts.size() < 2) starts.clear();
  return starts;
}

std::vector<Document> place_documents(std::span<const DocumentStart> starts, std::size_t text_bytes,
                                      const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  std::vector<Document> documents;
  // A tokenizer may put a space before the text: pieces then hold more bytes than it.
  std::size_t piece_bytes = 0;
  for (const TokenId token : tokens) piece_bytes += tokenizer.piece(token).size();
  const std::size_t added = piece_bytes > text_bytes ? piece_bytes - text_bytes : 0;
  std::size_t byte = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < tokens.size() && next < starts.size(); ++i) {
    byte += tokenizer.piece(tokens[i]).size();
    while (next < starts.size() && byte > starts[next].byte + added) {
      documents.push_back({starts[next].title, documents.empty() ? 0 : i});
      ++next;
    }
  }
  return documents;
}

}  // namespace checkbit
