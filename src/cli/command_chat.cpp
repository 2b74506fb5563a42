// checkbit chat: an interactive conversation.

#include <fmt/format.h>
#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/read_input.h"
#include "cli/sampler_flags.h"
#include "report/text.h"
#include "run/generate.h"

namespace checkbit {
namespace {

constexpr const char* kPrompt = "> ";
/// The editor counts what stands between two \1 as no cells.
constexpr const char* kColourPrompt = "\1\x1b[1;36m\1>\1\x1b[0m\1 ";
constexpr std::string_view kChatCommands =
    "/reset starts over, /quit or Ctrl-D leaves, Ctrl-C stops an answer";

/// Advice of the conversation itself: without the program's name in front.
void print_dim(Console& console, std::string_view text) {
  if (!console.quiet) console.err << console.err_terminal.style(Style::dim, text) << "\n";
}

/// Lines from the terminal with editing and history, or from any stream.
class LineReader {
 public:
  explicit LineReader(Console& console) : console_(console) {
    // Editing needs the real terminal: tests and pipes give another stream.
    if (!console.in_terminal.is_terminal || isatty(STDIN_FILENO) != 1) return;
    // Without a UTF-8 locale the editor drops every character beyond ASCII.
    if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
    history_.reset(history_init());
    HistEvent event;
    history(history_.get(), &event, H_SETSIZE, 200);
    editor_.reset(el_init("checkbit", stdin, stdout, stderr));
    if (console.out_terminal.colour) {
      el_set(
          editor_.get(), EL_PROMPT_ESC, +[](EditLine*) { return const_cast<char*>(kColourPrompt); },
          '\1');
    } else {
      el_set(
          editor_.get(), EL_PROMPT, +[](EditLine*) { return const_cast<char*>(kPrompt); });
    }
    el_set(editor_.get(), EL_EDITOR, "emacs");
    el_set(editor_.get(), EL_HIST, history, history_.get());
  }

  /// False at the end of the input. One Ctrl-C drops the line: it may have been meant for the
  /// answer that just ended. Two leave.
  bool read(std::string& line) {
    if (!editor_) {
      if (console_.out_terminal.is_terminal) console_.out << kPrompt << std::flush;
      return static_cast<bool>(std::getline(console_.in, line));
    }
    int count = 0;
    const char* text = el_gets(editor_.get(), &count);
    if (text == nullptr && cancel_requested() && !termination_requested()) {
      clear_cancel();
      console_.out << "\n" << std::flush;
      print_dim(console_, "Ctrl-C again or Ctrl-D leaves");
      text = el_gets(editor_.get(), &count);
    }
    if (text == nullptr || count <= 0) {
      console_.out << "\n";  // the shell's prompt begins a line of its own
      return false;
    }
    line.assign(text, static_cast<std::size_t>(count));
    if (line.ends_with('\n')) line.pop_back();
    HistEvent event;
    if (!line.empty()) history(history_.get(), &event, H_ENTER, line.c_str());
    return true;
  }

 private:
  struct EndHistory {
    void operator()(History* h) const { history_end(h); }
  };
  struct EndEditor {
    void operator()(EditLine* e) const { el_end(e); }
  };
  Console& console_;
  std::unique_ptr<History, EndHistory> history_;
  std::unique_ptr<EditLine, EndEditor> editor_;
};

/// The conversation, and which of its tokens the session has already read.
class Conversation {
 public:
  Conversation(Session& session, std::string system, GenerateOptions options)
      : session_(session), system_(std::move(system)), options_(std::move(options)) {
    reset();
  }

  void reset() {
    messages_ = nlohmann::ordered_json::array();
    if (!system_.empty())
      messages_.push_back({{"role", "system"}, {"content", valid_utf8(system_)}});
    read_.clear();
    session_.cache().truncate(0);
  }

  Result<Generation> answer(const std::string& question, const TextCallback& stream) {
    messages_.push_back({{"role", "user"}, {"content", valid_utf8(question)}});
    auto generation = continue_with(stream);
    const bool nothing = generation.ok() && generation->reason == StopReason::cancelled &&
                         generation->tokens.empty();
    if (!generation.ok() || nothing) {
      messages_.erase(messages_.size() - 1);
      return generation;
    }
    messages_.push_back({{"role", "assistant"}, {"content", valid_utf8(generation->text)}});
    options_.sampler.seed += 1;  // a repeated question may get another answer
    return generation;
  }

 private:
  Result<std::vector<TokenId>> tokens() const {
    if (session_.chat_template_source() == nullptr) {
      std::string text;
      for (const auto& message : messages_) text += message["content"].get<std::string>() + "\n";
      return session_.tokenizer().encode(text);
    }
    CB_TRY(const std::string text, session_.render_chat(messages_, std::time(nullptr)));
    return session_.tokenizer().encode(text, {.add_special = false, .parse_special = true});
  }

  /// Reads only what is new: the tokens that the cache already holds stay.
  Result<Generation> continue_with(const TextCallback& stream) {
    CB_TRY(const std::vector<TokenId> all, tokens());
    const auto [mine, theirs] = std::ranges::mismatch(read_, all);
    std::size_t kept = static_cast<std::size_t>(mine - read_.begin());
    if (kept == all.size() && kept > 0) --kept;  // the last token's logits are wanted
    session_.cache().truncate(static_cast<std::int64_t>(kept));
    CB_TRY(Generation generation,
           generate(session_, std::span(all).subspan(kept), options_, stream));
    read_ = all;
    read_.insert(read_.end(), generation.tokens.begin(), generation.tokens.end());
    read_.resize(std::min(read_.size(), static_cast<std::size_t>(session_.cache().length())));
    return generation;
  }

  Session& session_;
  std::string system_;
  GenerateOptions options_;
  nlohmann::ordered_json messages_;
  std::vector<TokenId> read_;
};

Status print_answer(Conversation& conversation, const std::string& question, Console& console) {
  const bool terminal = console.out_terminal.is_terminal;
  const TextCallback stream = [&](std::string_view text) {
    console.out << (terminal ? clean_lines(text) : std::string(text)) << std::flush;
  };
  CB_TRY_STATUS(check_text(question, "the question"));
  CB_TRY(const Generation g, conversation.answer(question, stream));
  console.out << (g.text.ends_with('\n') ? "" : "\n") << std::flush;
  std::string line = describe_cut(g);
  if (g.reason == StopReason::context_full) line += ", /reset starts over";
  if (!terminal) {
    if (!line.empty()) console.note(line);
    return {};
  }
  if (g.reason == StopReason::cancelled) line = "stopped";
  if (g.tokens.size() > 1 && g.generation_seconds > 0) {
    const double rate = static_cast<double>(g.tokens.size() - 1) / g.generation_seconds;
    line = fmt::format("{} tokens at {:.0f}/s{}{}", g.tokens.size(), rate, line.empty() ? "" : "; ",
                       line);
  }
  if (!line.empty()) print_dim(console, line);
  console.out << "\n" << std::flush;
  return {};
}

/// At a terminal an answer that fails or is stopped does not end the conversation.
Status answer_line(Conversation& conversation, const std::string& line, Console& console) {
  const Status answered = print_answer(conversation, line, console);
  const bool stopped = cancel_requested();
  if (stopped && (termination_requested() || !console.in_terminal.is_terminal)) {
    return cancelled_error();
  }
  if (!console.in_terminal.is_terminal) return answered;
  clear_cancel();  // a second Ctrl-C ends the program at once: not while a line is being edited
  if (answered.ok()) return {};
  console.out << "\n" << std::flush;
  if (!stopped) console.err << "checkbit: " << clean_line(answered.error().message) << "\n";
  return {};
}

Status check(const Arguments& arguments) { return check_sampler_flags(arguments); }

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(Session session,
         open_session(arguments.text("MODEL"), session_options(arguments, console), console));
  if (arguments.has("--system"))
    CB_TRY_STATUS(check_text(arguments.text("--system"), "the system message"));
  note_missing_template(session, console);
  Conversation conversation(session, arguments.text("--system"), generate_options(arguments));
  if (console.in_terminal.is_terminal) {
    const auto context = static_cast<std::uint64_t>(session.context_tokens());
    print_dim(console,
              fmt::format("{}, {} tokens of context", clean_line(model_name(session.file().path())),
                          format_grouped(context)));
    print_dim(console, fmt::format("{}\n", kChatCommands));
  }
  LineReader reader(console);
  for (std::string line; reader.read(line);) {
    if (line == "/quit" || line == "/exit") break;
    if (line == "/help") {
      print_dim(console, kChatCommands);
      continue;
    }
    if (line == "/reset") {
      conversation.reset();
      print_dim(console, "started over");
      continue;
    }
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    CB_TRY_STATUS(answer_line(conversation, line, console));
  }
  console.in.clear();
  return {};
}

std::vector<Flag> flags() {
  std::vector<Flag> list = {{.name = "--system",
                             .kind = ValueKind::text,
                             .value_name = "TEXT",
                             .help = "a system message"}};
  for (auto& flag : sampler_flags()) list.push_back(flag);
  return with_engine_flags(list);
}

}  // namespace

extern const Command chat_command;
const Command chat_command = {
    .name = "chat",
    .group = "Models",
    .summary = "talk with a model",
    .description =
        "A conversation in the terminal, with line editing and history. Ctrl-C stops an answer; at "
        "the prompt it drops the line, and twice it leaves, as Ctrl-D and /quit do. /reset starts "
        "over, which is needed once the context is full. From a pipe every line is one question.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = flags(),
    .examples = {{.command = "checkbit chat smollm2-135m"},
                 {.command = "checkbit chat smollm2-135m --system \"Answer in one sentence.\""}},
    .check = check,
    .run = run};

}  // namespace checkbit
