#include "cli/quantize_receipt.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <utility>

#include "file/metadata_keys.h"
#include "file/model_file.h"
#include "file/pull.h"
#include "file/sha256.h"
#include "quantize/write_model.h"

namespace checkbit {

extern const Command quantize_command;

namespace {

/// Removes what was remade, whatever happens.
class RemadeFile {
 public:
  explicit RemadeFile(std::string path) : path_(std::move(path)) {}
  RemadeFile(const RemadeFile&) = delete;
  RemadeFile& operator=(const RemadeFile&) = delete;
  ~RemadeFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Takes "--flag value" or "--flag=value" out of the words; false when it is not there.
bool take_flag(std::vector<std::string>& words, const std::string& flag) {
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word == flag && word + 1 != words.end()) {
      words.erase(word, word + 2);
      return true;
    }
    const bool attached =
        flag.starts_with("--") ? word->starts_with(flag + "=") : word->starts_with(flag);
    if (attached && *word != flag) {
      words.erase(word);
      return true;
    }
  }
  return false;
}

Result<Arguments> remade_arguments(const std::string& path, std::string_view command,
                                   const std::string& output) {
  CB_TRY(std::vector<std::string> words, shell_words(command));
  const auto name = std::ranges::find(words, "quantize");
  if (words.empty() || words[0] != "checkbit" || name == words.end()) {
    return fail(ErrorKind::unsupported,
                "{}: its receipt names another command than quantize, which is not made again: {}",
                path, command);
  }
  words.erase(name);
  words.erase(words.begin());
  for (const char* flag : {"--output", "-o", "--write-imatrix", "--write-calibration"})
    take_flag(words, flag);
  words.insert(words.end(), {"--output", output});
  return parse_arguments(quantize_command, words);
}

Status check_hash(const std::string& path, std::string_view what, std::string_view now,
                  std::string_view then) {
  if (now == then) return {};
  const auto shown = [](std::string_view hash) {
    return hash.empty() ? std::string_view("the built-in one") : hash.substr(0, 16);
  };
  return fail(ErrorKind::invalid, "{}: was made with another {} ({}) than is there now ({})", path,
              what, shown(then), shown(now));
}

/// What holds this byte of the file.
std::string place_of(const ModelFile& file, const std::uint8_t* byte) {
  const auto holds = [&](const ModelTensor& t) {
    return byte >= t.bytes.data() && byte < t.bytes.data() + t.bytes.size();
  };
  const auto found = std::ranges::find_if(file.tensors(), holds);
  return found == file.tensors().end() ? "in no tensor"
                                       : fmt::format("in tensor {}", found->info.name);
}

Status compare_files(const ModelFile& file, const std::string& remade) {
  CB_TRY(const MappedFile made, MappedFile::open(remade));
  const auto then = file.parts()[0].bytes(), now = made.bytes();
  const auto differs = std::ranges::mismatch(then, now);
  if (differs.in1 == then.end() && differs.in2 == now.end()) return {};
  const auto at = differs.in1 - then.begin();
  return fail(ErrorKind::corrupt,
              "{}: made again it is another file: byte {} ({}) is the first that differs; {} bytes "
              "then, {} now",
              file.path(), at, place_of(file, then.data() + at), then.size(), now.size());
}

}  // namespace

Result<std::vector<std::string>> shell_words(std::string_view line) {
  std::vector<std::string> words;
  bool inside = false, quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == ' ' && !quoted) {
      inside = false;
      continue;
    }
    if (!std::exchange(inside, true)) words.emplace_back();
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == '\\' && !quoted && i + 1 < line.size()) {
      words.back() += line[++i];
    } else {
      words.back() += c;
    }
  }
  if (quoted) return fail(ErrorKind::invalid, "a quote is not closed in: {}", line);
  return words;
}

Result<std::string> calibration_sha256(const Arguments& arguments) {
  const char* const flag = arguments.has("--calibration") ? "--calibration" : "--imatrix";
  if (!arguments.has(flag) || arguments.text(flag) == "-") return std::string();
  return sha256_of_file(arguments.text(flag));
}

Status verify_receipt(const std::string& path, Console& console) {
  CB_TRY(const ModelFile file, ModelFile::open(path));
  const auto text = [&](std::string_view key) {
    return std::string(file.metadata().get_string(key).value_or(""));
  };
  const std::string command = text(kKeyReceiptCommand);
  if (command.empty())
    return fail(ErrorKind::not_found, "{}: has no receipt of quantize to verify", path);
  const RemadeFile remade(path + ".remade");
  if (std::filesystem::exists(remade.path()))
    return fail(ErrorKind::invalid, "{}: is in the way of the file to compare with", remade.path());
  CB_TRY(const Arguments arguments, remade_arguments(path, command, remade.path()));
  CB_TRY_STATUS(quantize_command.check(arguments));
  CB_TRY(const std::string model, resolve_model(arguments.text("MODEL")));
  CB_TRY(const ModelFile source, ModelFile::open(model));
  CB_TRY(const std::string source_hash, source_sha256(source));
  CB_TRY_STATUS(check_hash(path, "source", source_hash, text(kKeyReceiptSource)));
  CB_TRY(const std::string calibration, calibration_sha256(arguments));
  CB_TRY_STATUS(check_hash(path, "calibration", calibration, text(kKeyReceiptCalibration)));
  std::ostream nowhere(nullptr);
  Console again = {console.in,
                   nowhere,
                   console.err,
                   console.in_terminal,
                   console.out_terminal,
                   console.err_terminal,
                   console.quiet,
                   console.threads,
                   command,
                   {}};
  CB_TRY_STATUS(quantize_command.run(arguments, again));
  CB_TRY_STATUS(compare_files(file, remade.path()));
  console.out << fmt::format("{}: made again from its receipt, every byte is the same\n", path);
  return {};
}

}  // namespace checkbit
