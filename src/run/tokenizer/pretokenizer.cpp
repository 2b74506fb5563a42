#include "run/tokenizer/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <optional>
#include <utility>

namespace checkbit {
namespace {

struct FreePcre {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using MatchData = std::unique_ptr<pcre2_match_data, FreePcre>;
using MatchContext = std::unique_ptr<pcre2_match_context, FreePcre>;

struct Match {
  std::size_t begin, end;
};

bool has_name(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const std::size_t space = names.find(' ');
    if (names.substr(0, space) == name) return true;
    names = space == std::string_view::npos ? std::string_view{} : names.substr(space + 1);
  }
  return false;
}

}  // namespace

const std::vector<PretokenizerSpec>& pretokenizer_specs() {
  static const std::vector<PretokenizerSpec> specs = {
#define PRETOKENIZER(names, flags, ...) {names, flags, {__VA_ARGS__}},
#include "run/tokenizer/pretokenizers.def"
#undef PRETOKENIZER
  };
  return specs;
}

Result<const PretokenizerSpec*> find_pretokenizer(std::string_view name) {
  for (const PretokenizerSpec& spec : pretokenizer_specs()) {
    if (has_name(spec.names, name)) return &spec;
  }
  return fail(ErrorKind::unsupported,
              "tokenizer.ggml.pre: unknown pre-tokenizer \"{}\"; its patterns would be one line in "
              "src/run/tokenizer/pretokenizers.def",
              name);
}

/// One compiled pattern; matching keeps its state in the caller's MatchData.
class Pretokenizer::Pattern {
 public:
  explicit Pattern(std::string_view source) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY, &error,
                              &offset, nullptr));
    CB_CHECK(code_ != nullptr);  // the patterns are ours
    // Without JIT (refused by some kernels) pcre2_match interprets: slower, same matches.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  /// The first match in `piece` from `position` on; nothing: there is none.
  std::optional<Match> find(std::string_view piece, std::size_t position, pcre2_match_data* data,
                            pcre2_match_context* context) const {
    const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(piece.data()),
                                  piece.size(), position, PCRE2_NO_UTF_CHECK, data, context);
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    // Limits and stacks cannot be reached: patterns repeat single classes only, see the tests.
    CB_CHECK(found > 0);
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(data);
    CB_CHECK(match[1] > match[0]);  // an empty match would loop forever
    return Match{match[0], match[1]};
  }

 private:
  std::unique_ptr<pcre2_code, FreePcre> code_;
};

Pretokenizer::Pretokenizer(const PretokenizerSpec& spec) {
  patterns_.reserve(spec.patterns.size());
  for (const std::string_view source : spec.patterns) patterns_.emplace_back(source);
}
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;
Pretokenizer::~Pretokenizer() = default;

struct Pretokenizer::Matching {
  std::string_view text;
  const WordEnd& word;
  MatchData data;
  MatchContext context;
};

void Pretokenizer::split(std::string_view text, const WordEnd& word) const {
  const Matching matching{text, word, MatchData(pcre2_match_data_create(1, nullptr)),
                          MatchContext(pcre2_match_context_create(nullptr))};
  CB_CHECK(matching.data != nullptr && matching.context != nullptr);
  // One match over a long run counts its length in steps; the default limit is 10 million.
  pcre2_set_match_limit(matching.context.get(), 0xFFFFFFFFu);
  split_piece(matching, 0, 0, text.size());
}

/// text[begin, end) is a piece for the pattern of this index and those after it.
void Pretokenizer::split_piece(const Matching& matching, std::size_t pattern, std::size_t begin,
                               std::size_t end) const {
  if (begin == end) return;
  if (pattern == patterns_.size()) {
    matching.word(end);
    return;
  }
  const std::string_view piece = matching.text.substr(begin, end - begin);
  std::size_t position = 0;
  while (position < piece.size()) {
    const auto match =
        patterns_[pattern].find(piece, position, matching.data.get(), matching.context.get());
    if (!match) break;
    split_piece(matching, pattern + 1, begin + position, begin + match->begin);
    split_piece(matching, pattern + 1, begin + match->begin, begin + match->end);
    position = match->end;
  }
  split_piece(matching, pattern + 1, begin + position, end);
}

}  // namespace checkbit
