// The documents of a text, for asking which of them a model lost the most on.
//
// What: a document begins at each line that says so: the line that the user named, or, where the
//   text has at least two, the titles of wiki articles as the WikiText files write them
//   (" = Title = ", one sign on either side). A text without such lines has no documents.
//   A file whose name ends in .jsonl has one JSON object a line, {"text": ...} and, if they like,
//   "title" or "id": each is a document, an empty line between them.
// Positions are tokens of the whole text; the first document begins at 0.
// Errors, of JSON only: invalid, with file and line.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "run/tokenizer.h"

namespace checkbit {

struct Document {
  std::string title;
  std::size_t first_token = 0;
};

/// A document's title and the byte where it begins.
struct DocumentStart {
  std::string title;
  std::size_t byte = 0;
};

/// `break_line`: the line (without its end, spaces around it ignored) that stands before each
/// document; empty: titles of wiki articles. Fewer than two starts give none.
std::vector<DocumentStart> find_document_starts(std::string_view text, std::string_view break_line);

struct DocumentText {
  std::string text;
  std::vector<DocumentStart> starts;
};

/// The text of a file and where its documents begin: by `path` as JSON lines, else as above.
Result<DocumentText> read_documents(const std::string& path, std::string content,
                                    std::string_view break_line);

/// `tokens`: what the tokenizer made of the text of `text_bytes` bytes.
std::vector<Document> place_documents(std::span<const DocumentStart> starts, std::size_t text_bytes,
                                      const Tokenizer& tokenizer, std::span<const TokenId> tokens);

}  // namespace checkbit
